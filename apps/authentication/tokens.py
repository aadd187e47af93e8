"""The two kinds of token: how they are written and what of them may be believed.

A valid token says only that we issued it and that its time has not run out. Whether it still opens anything
is for its session to say, see selectors.py.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from jwt import PyJWS, PyJWTError
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from .errors import TokenInvalid

MAX_LENGTH: Final = 1024  # ours are under 400
ALGORITHM: Final = "HS256"


class RotatingKeyBackend(TokenBackend):
    """Signs with one key, and believes the one before it too, for as long as that is configured."""

    def __init__(self, *, signing_key: str, previous_key: str) -> None:
        options: dict[str, Any] = {
            "issuer": settings.SIMPLE_JWT["ISSUER"],
            "leeway": settings.SIMPLE_JWT["LEEWAY"],
        }
        super().__init__(ALGORITHM, signing_key, **options)
        # No key is no key: an empty one would verify what anyone signs with an empty one.
        self.previous = TokenBackend(ALGORITHM, previous_key, **options) if previous_key else None

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        try:
            return super().decode(token, verify)
        except TokenBackendExpiredToken:
            raise
        except TokenBackendError:
            if self.previous is None:
                raise
            return self.previous.decode(token, verify)


@lru_cache(maxsize=4)
def _two_keys(signing_key: str, previous_key: str) -> RotatingKeyBackend:
    return RotatingKeyBackend(signing_key=signing_key, previous_key=previous_key)


def _backend() -> RotatingKeyBackend:
    return _two_keys(settings.SIMPLE_JWT["SIGNING_KEY"], settings.JWT_PREVIOUS_SIGNING_KEY)


class Access(AccessToken):
    """Signs requests in."""

    def get_token_backend(self) -> RotatingKeyBackend:
        return _backend()


class Refresh(RefreshToken):
    """May be exchanged for a new pair."""

    def get_token_backend(self) -> RotatingKeyBackend:
        return _backend()


@dataclass(frozen=True)
class TokenPair:
    """What a client holds of its session: an access and a refresh token, and when the refresh token expires."""

    access: str
    refresh: str
    expires_at: datetime


@dataclass(frozen=True)
class Claims:
    """What a token of ours says."""

    sid: uuid.UUID
    user_id: str
    jti: str
    token: str = field(repr=False)  # the token itself


def issue(*, sid: uuid.UUID, user_id: int, jti: str, at: datetime) -> TokenPair:
    """The pair of tokens of the session `sid` whose refresh token is `jti`, issued at `at`; the same pair each time."""
    refresh = _token(Refresh, sid=sid, user_id=user_id, jti=jti, at=at)
    return TokenPair(
        access=str(_token(Access, sid=sid, user_id=user_id, jti=_derived(sid, "access", jti), at=at)),
        refresh=str(refresh),
        expires_at=datetime_from_epoch(refresh["exp"]),
    )


def issue_access(*, sid: uuid.UUID, user_id: int) -> str:
    """A new access token of the session `sid`, beside a refresh token that stays."""
    return str(_token(Access, sid=sid, user_id=user_id, jti=new_jti(), at=timezone.now()))


def new_jti() -> str:
    """The identifier of a token that descends from no other."""
    return uuid.uuid4().hex


def successor_jti(claims: Claims) -> str:
    """The identifier of the refresh token for which this one is exchanged.

    It follows from this one, so that a session's row, which names the successor alone, still tells its direct
    predecessor from all older tokens. It need not be secret: what protects a token is its signature.
    """
    return _derived(claims.sid, "refresh", claims.jti)


def _derived(sid: uuid.UUID, kind: str, jti: str) -> str:
    return uuid.uuid5(sid, f"{kind} {jti}").hex


def _token(kind: type[Token], *, sid: uuid.UUID, user_id: int, jti: str, at: datetime) -> Token:
    token = kind()
    token.set_iat(at_time=at)
    token.set_exp(from_time=at)
    token["jti"] = jti
    token["sid"] = str(sid)
    token["user_id"] = str(user_id)
    return token


def read_access(token: str) -> Claims:
    """What an access token says. Raises TokenInvalid unless it is one of ours and in time."""
    return _read(token, Access)


def read_refresh(token: str) -> Claims:
    """What a refresh token says. Raises TokenInvalid unless it is one of ours and in time."""
    return _read(token, Refresh)


@lru_cache(maxsize=1024)
def _verified(token: str, signing_key: str, previous_key: str) -> Mapping[str, Any]:
    """What a token says whose signature, issuer and times are right. Raises TokenBackendError.

    A client sends the same access token for an hour. What was signed stays signed: only its time runs out, for which
    the caller looks. A token that is refused is not kept.
    """
    return MappingProxyType(_two_keys(signing_key, previous_key).decode(token))


def _read(token: str, kind: type[Token]) -> Claims:
    if len(token) > MAX_LENGTH:
        raise TokenInvalid
    try:
        payload = _verified(token, settings.SIMPLE_JWT["SIGNING_KEY"], settings.JWT_PREVIOUS_SIGNING_KEY)
        if payload["token_type"] != kind.token_type:
            raise TokenInvalid
        expires_at = datetime_from_epoch(payload["exp"])  # each has one, and one that is a date
        if expires_at.timestamp() <= time.time() - settings.SIMPLE_JWT["LEEWAY"]:  # as when it was verified
            raise TokenInvalid
        return Claims(
            sid=uuid.UUID(payload["sid"]),
            user_id=str(payload["user_id"]),
            jti=str(payload["jti"]),
            token=token,
        )
    except (
        TokenBackendError,
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RecursionError,
    ) as error:
        raise TokenInvalid from error
    except (TypeError, ValueError) as error:  # claims of the wrong type, or beyond what a date can be
        raise TokenInvalid from error


def is_ours(token: str) -> bool:
    """Whether we signed this token, of whatever kind and however long ago: so its sender has it from us."""
    keys = (settings.SIMPLE_JWT["SIGNING_KEY"], settings.JWT_PREVIOUS_SIGNING_KEY)
    return len(token) <= MAX_LENGTH and any(_is_signed_by(key, token) for key in keys if key)


def _is_signed_by(key: str, token: str) -> bool:
    try:
        PyJWS().decode(token, key, algorithms=[ALGORITHM])
    except (PyJWTError, ValueError, RecursionError):
        return False
    return True
