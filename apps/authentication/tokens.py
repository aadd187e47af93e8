"""The two kinds of token: how they are written and what of them may be believed.

A valid token says only that we made it and that its time has not run out. Whether it still opens anything
is for its session to say, see selectors.py.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from .errors import TokenInvalid

MAX_LENGTH: Final = 1024  # ours are under 400


class Access(AccessToken):
    """Signs requests in."""


class Refresh(RefreshToken):
    """May be exchanged once for a new pair."""


@dataclass(frozen=True)
class Issued:
    """A new pair of tokens, and what its session must remember of it."""

    access: str
    refresh: str
    refresh_jti: str
    expires_at: datetime


@dataclass(frozen=True)
class Claims:
    """What a token of ours says."""

    sid: uuid.UUID
    user_id: str
    jti: str


def issue(*, sid: uuid.UUID, user_id: int) -> Issued:
    """A new pair of tokens of the session `sid`."""
    refresh = Refresh()
    refresh["sid"] = str(sid)
    refresh["user_id"] = str(user_id)
    access = Access()
    access["sid"] = str(sid)
    access["user_id"] = str(user_id)
    return Issued(
        access=str(access),
        refresh=str(refresh),
        refresh_jti=refresh["jti"],
        expires_at=datetime_from_epoch(refresh["exp"]),
    )


def read_access(token: str) -> Claims:
    """What an access token says. Raises TokenInvalid unless it is one of ours and in time."""
    return _read(token, Access)


def read_refresh(token: str) -> Claims:
    """What a refresh token says. Raises TokenInvalid unless it is one of ours and in time."""
    return _read(token, Refresh)


def _read(token: str, kind: type[Token]) -> Claims:
    if len(token) > MAX_LENGTH:
        raise TokenInvalid
    try:
        payload = kind(token)  # type: ignore[arg-type]  # a string, whatever the library's annotation says
        return Claims(sid=uuid.UUID(payload["sid"]), user_id=str(payload["user_id"]), jti=str(payload["jti"]))
    except (TokenError, ArithmeticError, AttributeError, LookupError, OSError, RecursionError) as error:
        raise TokenInvalid from error
    except (TypeError, ValueError) as error:  # claims of the wrong type, or beyond what a date can be
        raise TokenInvalid from error
