"""Log lines: the request's id on each, nothing secret in any, JSON on demand, and a file that never fails."""

import json
import logging
import logging.handlers
import re
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from .code_spelling import (
    AZERTY_GROUP,
    FIRST,
    SYMBOL,
    has_check_symbol,
    plain,
    readings_of,
    readings_of_azerty,
)

request_id: ContextVar[str] = ContextVar("request_id", default="-")

LONGEST: Final = 20_000
_STRETCH: Final = 1000  # the longest spelling of a code

# What stands for another character in an address, in JSON or in Python's own way of writing a text.
# A run of backslashes is taken whole and only from its first: from each of them anew, a long one would take minutes.
_BACKSLASHES: Final = r"(?<!\\)\\++"
_OCTET: Final = re.compile(rf"(?:%|{_BACKSLASHES}x)([0-9A-F]{{2}})", re.I)
_ESCAPES: Final = re.compile(
    rf"""(?P<octets>(?:{_OCTET.pattern})+)|{_BACKSLASHES}(?:u(?P<number>[0-9A-F]{{4}})|(?P<letter>[nrt"'/]))""",
    re.I,
)
_MEANT: Final = {"n": "\n", "r": "\r", "t": "\t"}
_START: Final = "(?<![0-9A-Z])"
_END: Final = "(?![0-9A-Z])"
# As many as the application reads in a code, and taken for good: what somebody sends must not keep a process busy.
_FEW: Final = "{1,100}+"
_BLANK: Final = r"[\s\-+_.\x00-\x1f\x80-\U0010ffff]"

# A voucher code but for its last four symbols, in one piece or in groups of four, where a typing mistake is still a
# secret. Within a lookahead, so that words before a code don't use up its groups. A UUID is neither.
_CODES: Final = (
    re.compile(rf"(?=({FIRST}{SYMBOL}{{11}}){SYMBOL}{{4}}{_END})", re.I | re.A),
    re.compile(
        rf"(?=({FIRST}{SYMBOL}{{3}}{_BLANK}{_FEW}(?:{SYMBOL}{{4}}{_BLANK}{_FEW}){{2}}){SYMBOL}{{4}}{_END})",
        re.I | re.A,
    ),
)
# In whatever else the application reads, where the check symbol tells it from words: with any sign between groups of
# four, in any other grouping (no part of a UUID), and as a French keyboard writes it.
_MAYBE_BLANK: Final = f"(?:{_BLANK}{_FEW})?+"
_BETWEEN: Final = f"(?:{_BLANK}{_FEW}(?:[^0-9A-Z]{_MAYBE_BLANK})?+|[^0-9A-Z]{_MAYBE_BLANK})"
_SPELT: Final = (
    (
        re.compile(
            rf"(?=({FIRST}{SYMBOL}{{3}}{_BETWEEN}(?:{SYMBOL}{{4}}{_BETWEEN}){{2}})({SYMBOL}{{4}}){_END})",
            re.I | re.A,
        ),
        readings_of,
    ),
    (
        re.compile(
            rf"{_START}(?<![0-9A-Z]-)(?=((?:{SYMBOL}{_MAYBE_BLANK}){{12}})"
            rf"({SYMBOL}(?:{_MAYBE_BLANK}{SYMBOL}){{3}})(?!-?[0-9A-Z]))",
            re.I | re.A,
        ),
        readings_of,
    ),
    (
        re.compile(rf"{_START}(?=((?:{AZERTY_GROUP}\)){{3}})({AZERTY_GROUP}))", re.I | re.A),
        readings_of_azerty,
    ),
)
_KEYS_AND_TOKENS: Final = (
    re.compile(r"(?<=_secret_)\w+"),
    re.compile(r"(?<=\b[sr]k_)(?:test|live)_\w+"),
    re.compile(r"(?<=\bwhsec_)\w+"),
    re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w-]++\.[\w-]*+"),
)


def redact(text: str) -> str:
    """The text with voucher codes (but for their last four symbols), keys and tokens masked; the middle of a very long
    one is left out.

    Whatever the message comes from, Django's own "Not Found: /path", a driver's error or ours.
    """
    if len(text) > LONGEST:
        # What a cut made of a code is no code any more: it goes too.
        first, last = (redact(part) for part in (text[: LONGEST // 2], text[-LONGEST // 2 :]))
        return f"{first[:-_STRETCH]}… ({len(text)} characters) …{last[_STRETCH:]}"
    for pattern in _KEYS_AND_TOKENS:
        text = pattern.sub("***", text)
    decoded, places = _decoded(text)
    spans = [found.span(1) for pattern in _CODES for found in pattern.finditer(decoded)]
    spans += [
        found.span(1)
        for pattern, readings in _SPELT
        for found in pattern.finditer(decoded)
        if any(map(has_check_symbol, readings(found[1] + found[2])))
    ]
    masked, done = "", 0
    for start, end in sorted((places[start], places[end]) for start, end in spans):
        if start >= done:
            masked += text[done:start] + "***"
        done = max(done, end)
    return masked + text[done:]


def _decoded(text: str) -> tuple[str, Sequence[int]]:
    """The text with its escapes undone, as plain as it goes; and where in the text each of its characters begins."""
    if "%" not in text and "\\" not in text:
        return plain(text), range(len(text) + 1)
    characters: list[str] = []
    places: list[int] = []
    done = 0
    for escape in _ESCAPES.finditer(text):
        characters.append(text[done : escape.start()])
        places += range(done, escape.start())
        done = escape.end()
        if escape["octets"]:
            octets = list(_OCTET.finditer(text, escape.start(), escape.end()))
            written, at = bytes(int(octet[1], 16) for octet in octets), 0
            for character in written.decode(errors="surrogateescape"):
                characters.append(character)
                places.append(octets[at].start())
                at += len(character.encode(errors="surrogateescape"))
        else:
            characters.append(
                chr(int(escape["number"], 16))
                if escape["number"]
                else _MEANT.get(escape["letter"], escape["letter"])
            )
            places.append(escape.start())
    characters.append(text[done:])
    places += range(done, len(text) + 1)
    return plain("".join(characters)), places


def redacting_excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """As sys.excepthook: a traceback without secrets, for a command that nothing else catches.

    A database tells the row that it refused, and so the code in it.
    """
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def route_of(request: Any) -> str:
    """The pattern of the request's address, without what stands in its places."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else "(no route)"


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to each record ("-" outside a request), and names requests by route.

    Django's own lines name them by path, which may hold a voucher code in a spelling that no pattern knows.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        names_a_path = record.name.startswith(("django.request", "django.security")) and record.args
        if names_a_path and hasattr(record, "request") and isinstance(record.args, tuple):
            record.args = (*record.args[:-1], route_of(record.request))
        return True


class WithoutAddresses(logging.Filter):
    """For gunicorn's own lines: cuts off what a request said of itself, which may be a piece of a code."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Invalid request from ip="):
            record.msg, record.args = message.partition(": ")[0], ()
        elif message.startswith("Error handling request"):
            record.msg, record.args = "Error handling request", ()
        return True


class TextFormatter(logging.Formatter):
    """A line for people, without secrets; after it, if any, the exception."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """On one line, so that nothing that somebody sent looks like a line of ours."""
        return super().formatMessage(record).replace("\r", r"\r").replace("\n", r"\n")

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, request_id, message and, if any, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: redact(value) for name, value in line.items()})


class QuietRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """A log file that may be missing, unwritable or on a full disk: the console still has every line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: a log that can't be written must not fail the request that wrote it."""
