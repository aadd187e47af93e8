"""Sessions: opening and revoking them, and exchanging their refresh tokens (docs/decisions/0003-sessions.md)."""

import uuid
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F
from django.utils import timezone

from apps.authentication import selectors, tokens
from apps.authentication.errors import TokenInvalid
from apps.authentication.models import Session
from apps.authentication.tokens import TokenPair
from apps.core.prepared_queries import PreparedUpdate
from apps.users.errors import InvalidFields
from apps.users.models import User

BATCH: Final = 1000
# For so long an exchange may be repeated: two tabs send one token, or the answer is lost on its way.
REFRESH_GRACE: Final = timedelta(seconds=30)


def open_session(*, user: User) -> TokenPair:
    """A new session of `user`, who has proved who they are, and its first tokens."""
    sid = uuid.uuid4()
    now = timezone.now()
    jti = tokens.new_jti()
    pair = tokens.issue(sid=sid, user_id=user.pk, jti=jti, at=now)
    Session.objects.create(
        id=sid,
        user=user,
        refresh_jti=jti,
        auth_hash=user.get_session_auth_hash(),
        created_at=now,
        refreshed_at=now,
        expires_at=pair.expires_at,
    )
    return pair


# The guarded UPDATE of `refresh_session`.
_EXCHANGE: Final = PreparedUpdate(
    lambda sid, jti, next_jti, now, expires_at: (
        Session.objects.filter(id=sid, ended_at=None, refresh_jti=jti),
        {"refresh_jti": next_jti, "refreshed_at": now, "expires_at": expires_at},
    ),
    sid=models.UUIDField(),
    jti=models.CharField(),
    next_jti=models.CharField(),
    now=models.DateTimeField(),
    expires_at=models.DateTimeField(),
)


def refresh_session(claims: tokens.Claims) -> TokenPair:
    """Exchange a refresh token for a new pair; the token is used up.

    Whoever sends it again within REFRESH_GRACE gets the same pair again, until that has been exchanged in turn. Raises
    TokenInvalid. A token that is used later than that, or an older one, was copied: its session ends, so that neither
    holder keeps it. Call it outside a transaction, which would undo that.
    """
    session = selectors.live_session(claims)
    now = timezone.now()
    next_jti = tokens.successor_jti(claims)
    pair = tokens.issue(sid=session.pk, user_id=session.user.pk, jti=next_jti, at=now)
    if not _EXCHANGE.execute(
        sid=session.pk, jti=claims.jti, next_jti=next_jti, now=now, expires_at=pair.expires_at
    ):
        return _repeat_exchange(claims)
    return pair


def renew_access(claims: tokens.Claims) -> TokenPair:
    """A new access token; the refresh token stays as it was sent, until its time runs out or its session ends.

    For the client in the field, which keeps only `access` of the answer. One that is used up is answered, or
    refused, as by `refresh_session`. Raises TokenInvalid.
    """
    session = selectors.live_session(claims)
    if session.refresh_jti != claims.jti:
        return _repeat_exchange(claims)
    access = tokens.issue_access(sid=session.pk, user_id=session.user.pk)
    return TokenPair(access=access, refresh=claims.token, expires_at=session.expires_at)


def _repeat_exchange(claims: tokens.Claims) -> TokenPair:
    """The pair for which a used refresh token was exchanged just now. Else its session ends: raises TokenInvalid."""
    # Read anew: a twin may have exchanged the token since, or somebody ended the session.
    session = selectors.live_session(claims)
    # The row names the one refresh token that works: only its direct predecessor leads there.
    is_direct_predecessor = session.refresh_jti == tokens.successor_jti(claims)
    if not is_direct_predecessor or timezone.now() - session.refreshed_at > REFRESH_GRACE:
        revoke_session(user=session.user, sid=session.pk)
        raise TokenInvalid
    # Made of the same values as the first time, it is the same pair, and the session still has one usable child.
    return tokens.issue(
        sid=session.pk, user_id=session.user.pk, jti=session.refresh_jti, at=session.refreshed_at
    )


def revoke_session(*, user: User, sid: uuid.UUID) -> None:
    """End one session of `user`, if it is live: none of its tokens works any more."""
    Session.objects.filter(id=sid, user=user, ended_at=None).update(ended_at=timezone.now())


def revoke_own_session_by_token(*, user: User, refresh: str) -> None:
    """End the session of a refresh token; nothing happens if it has ended already.

    Raises InvalidFields (`refresh`) if the token is none of `user`'s.
    """
    try:
        claims = tokens.read_refresh(refresh)
    except TokenInvalid:
        claims = None
    if claims is None or claims.user_id != str(user.pk):
        raise InvalidFields(refresh=[(TokenInvalid.code, "This is not a refresh token of yours.")])
    revoke_session(user=user, sid=claims.sid)


def revoke_session_by_token(*, refresh: str) -> User | None:
    """End the session of a refresh token, for whoever holds it; its user, or None if it was not live."""
    try:
        session = selectors.live_session(tokens.read_refresh(refresh))
    except TokenInvalid:
        return None
    revoke_session(user=session.user, sid=session.pk)
    return session.user


def revoke_all_sessions(*, user: User) -> None:
    """End every session of `user`, the admin's too: no token issued until now works any more."""
    User.objects.filter(pk=user.pk).update(sessions_epoch=F("sessions_epoch") + 1)
    user.refresh_from_db(fields=["sessions_epoch"])
    Session.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())


def remove_old_sessions(*, now: datetime) -> int:
    """Delete the sessions that can't be refreshed any more since KEEP_ENDED_SESSIONS; how many."""
    removed = 0
    past = Session.objects.filter(expires_at__lt=now - settings.KEEP_ENDED_SESSIONS)
    while ids := list(past.order_by("expires_at").values_list("id", flat=True)[:BATCH]):
        Session.objects.filter(id__in=ids).delete()
        removed += len(ids)
    return removed
