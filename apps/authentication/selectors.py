"""Whether a token still opens anything."""

from typing import Any

from django.utils.crypto import constant_time_compare

from apps.users.models import User

from . import tokens
from .errors import TokenInvalid
from .models import Session


def live_session(claims: tokens.Claims) -> Session:
    """The session that a token belongs to, with its user, in one query.

    Raises TokenInvalid if it has ended or is gone, or if its user is deactivated, gone, or has got a new password.
    """
    session = Session.objects.select_related("user").filter(id=claims.sid, ended_at=None).first()
    if session is None or str(session.user_id) != claims.user_id or not session.user.is_active:
        raise TokenInvalid
    if not constant_time_compare(session.auth_hash, session.user.get_session_auth_hash()):
        raise TokenInvalid
    return session


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
        .values("created_at", "refreshed_at", "expires_at", "ended_at")
    )
