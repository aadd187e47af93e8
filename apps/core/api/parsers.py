"""Reading request bodies strictly: what a database can't hold, or two readers may read in two ways, is refused."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser, FormParser, MultiPartParser
from rest_framework.renderers import JSONRenderer

MAX_DEPTH = 32
MAX_DIGITS = 32


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"
    default_detail = "The body is too large."


class StrictJSONParser(BaseParser):
    """JSON as RFC 8259 wants it exchanged: UTF-8, no repeated names, no NaN, no lone surrogates.

    Also refuses NUL characters, which PostgreSQL can't store, nesting deeper than MAX_DEPTH, and numbers
    longer than MAX_DIGITS. The charset of the request is ignored: RFC 8259 section 8.1 knows UTF-8 only,
    and a compressed charset such as `utf-7` or `zip` would let a small body grow.
    """

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(body) > settings.MAX_BODY_BYTES:
            raise BodyTooLarge
        return load(body)


class _InUTF8(BaseParser):
    """Reads the body as UTF-8, whatever charset the request names: some charsets aren't even text."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return super().parse(stream, media_type, {**(parser_context or {}), "encoding": "utf-8"})


class PlainFormParser(_InUTF8, FormParser):
    """application/x-www-form-urlencoded."""


class UploadParser(_InUTF8, MultiPartParser):
    """multipart/form-data."""


def load(body: bytes) -> Any:
    """The value of a JSON text. Raises ParseError (400) saying what is wrong with it."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_int,
            parse_float=_float,
        )
    except UnicodeDecodeError as error:
        raise ParseError("The body is not UTF-8.") from error
    except RecursionError as error:
        raise ParseError("The body is nested too deeply.") from error
    except ValueError as error:
        detail = str(error) if isinstance(error, _Refused) else "The body is not JSON."
        raise ParseError(detail) from error
    _check(value, 0)
    return value


class _Refused(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("The body names a member twice.")
    return members


def _refuse_constant(name: str) -> None:
    raise _Refused(f"{name} is not JSON.")


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _Refused("The body has a number with too many digits.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    # Before the point too: PostgreSQL writes 1e300 out, so few bytes would grow into many.
    if len(digits) > MAX_DIGITS or abs(value) >= 10**MAX_DIGITS:
        raise _Refused("The body has a number with too many digits.")
    return value


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ParseError("The body is nested too deeply.")
    if isinstance(value, str):
        if "\0" in value:
            raise ParseError("The body has a NUL character.")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ParseError("The body has half a surrogate pair.")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(name, depth + 1)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)
