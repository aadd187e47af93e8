"""Whether a token still opens anything."""

import uuid
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import DEFAULT_DB_ALIAS, models
from django.utils.crypto import constant_time_compare

from apps.core.prepared_queries import PreparedQuery
from apps.users.models import User

from . import tokens
from .errors import TokenInvalid
from .models import Session

USER_COLUMNS: Final = tuple(field.attname for field in User._meta.concrete_fields)


class LiveSession(NamedTuple):
    """A session that has not ended, with its user. Times are aware datetimes."""

    pk: uuid.UUID
    refresh_jti: str
    refreshed_at: datetime
    expires_at: datetime
    auth_hash: str
    user: User


def _live_session(
    pk: uuid.UUID,
    refresh_jti: str,
    refreshed_at: datetime,
    expires_at: datetime,
    auth_hash: str,
    second_factor_at: datetime | None,
    *user_columns: Any,
) -> LiveSession:
    user = User.from_db(DEFAULT_DB_ALIAS, USER_COLUMNS, user_columns)
    user.second_factor_passed = second_factor_at is not None
    return LiveSession(pk, refresh_jti, refreshed_at, expires_at, auth_hash, user)


_BY_ID: Final = PreparedQuery(
    _live_session,
    lambda sid: (
        Session.objects.filter(id=sid, ended_at=None)
        .order_by()
        .values_list(
            "id",
            "refresh_jti",
            "refreshed_at",
            "expires_at",
            "auth_hash",
            "second_factor_at",
            *(f"user__{name}" for name in USER_COLUMNS),
        )
    ),
    sid=models.UUIDField(),
)


def live_session(claims: tokens.Claims) -> LiveSession:
    """The session that a token belongs to, with its user, in one query.

    Raises TokenInvalid if it has ended or is gone, or if its user is deactivated, gone, or has got a new password.
    """
    for session in _BY_ID.rows(sid=claims.sid):  # one at most
        user = session.user
        if str(user.pk) != claims.user_id or not user.is_active:
            break
        if not constant_time_compare(session.auth_hash, user.get_session_auth_hash()):
            break
        return session
    raise TokenInvalid


def check_token(token: str) -> None:
    """Raises TokenInvalid unless `token` would now sign a request in, or could be exchanged for a new pair.

    A refresh token that is used up is not valid, though for some seconds its exchange may be repeated.
    """
    try:
        live_session(tokens.read_access(token))
    except TokenInvalid:
        claims = tokens.read_refresh(token)
        if live_session(claims).refresh_jti != claims.jti:
            raise TokenInvalid from None


def sessions_of(user: User) -> list[Any]:
    """When the user signed in, for the export: nothing of what the tokens are checked by."""
    return list(
        Session.objects.filter(user=user)
        .order_by("-created_at", "id")
        .values("created_at", "refreshed_at", "expires_at", "ended_at", "second_factor_at")
    )
