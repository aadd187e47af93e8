"""Signing up, in and out."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from apps.core.languages import Language
from apps.core.prepared_queries import PreparedUpdate
from apps.users import email_confirmation
from apps.users import selectors as users_selectors
from apps.users import services as users
from apps.users.errors import InvalidFields
from apps.users.models import User

from . import password_reset_links, selectors, tokens
from .errors import InvalidCredentials, ResetLinkInvalid, TokenInvalid
from .models import Session
from .second_factor import factors
from .tokens import TokenPair

BATCH: Final = 1000
# For so long an exchange may be repeated: two tabs send one token, or the answer is lost on its way.
REFRESH_GRACE: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class SignedIn:
    """A person and the first tokens of their new session."""

    user: User
    tokens: TokenPair


def register(
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    phone_number: str = "",
    language: str = Language.EN,
) -> SignedIn:
    """A new account, signed in, whose person is written to in `language`; a link to confirm its address is mailed.

    Raises InvalidFields: `email` taken, `password` too weak.
    """
    with transaction.atomic():
        user = users.create_account(
            email=email,
            password=password,
            first_name=first_name,
            last_name=last_name,
            phone_number=phone_number,
            language=language,
        )
        email_confirmation.send_link(user)
        return SignedIn(user, open_session(user=user))


def login(*, email: str, password: str) -> SignedIn:
    """A new session of the user who has this e-mail address and password.

    Raises InvalidCredentials, the same for an unknown address, a wrong password and a deactivated account;
    each runs the password hasher once, so that the time of the answer tells no more than its words.
    """
    user = authenticate(email=email, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    return SignedIn(user, open_session(user=user))


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


def change_password(*, user: User, old_password: str, new_password: str) -> TokenPair:
    """A new password for `user`: every session ends, and a new one opens for the client of this request.

    Raises InvalidFields: `old_password` wrong, `new_password` too weak.
    """
    with transaction.atomic():
        users.change_password(user=user, old_password=old_password, new_password=new_password)
        revoke_all_sessions(user=user)
        return open_session(user=user)


def request_password_reset(*, email: str) -> None:
    """Mail a link for a new password to this address, if an active account has it.

    If none has, all the same is done but for the mail: neither the answer nor its time tells which it was.
    """
    password_reset_links.send(users_selectors.who_may_reset(email))


def reset_password(*, uid: str, token: str, password: str) -> None:
    """Give the user whom the link names a new password: every session ends, and so does the link.

    It proves the address, too. Raises ResetLinkInvalid, and InvalidFields (`password`) if it breaks a rule; the link
    then stays good.
    Of several uses of a link at the same instant one wins.
    """
    user = password_reset_links.user_of(uid, token)
    if user is None:
        raise ResetLinkInvalid
    with transaction.atomic():
        if not users.reset_password(user=user, new_password=password):
            raise ResetLinkInvalid
        revoke_all_sessions(user=user)
        email_confirmation.confirm(user=user)  # the link was mailed there


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


def remove_old_sessions(*, now: datetime) -> int:
    """Delete the sessions that can't be refreshed any more since KEEP_ENDED_SESSIONS; how many."""
    removed = 0
    past = Session.objects.filter(expires_at__lt=now - settings.KEEP_ENDED_SESSIONS)
    while ids := list(past.order_by("expires_at").values_list("id", flat=True)[:BATCH]):
        Session.objects.filter(id__in=ids).delete()
        removed += len(ids)
    return removed


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


def pass_second_factor(*, user: User, sid: uuid.UUID, code: str) -> None:
    """Open what staff may do to the session `sid` of `user`, who has sent a code of their second factor.

    Raises SecondFactorCodeInvalid and SecondFactorNotEnrolled.
    """
    with transaction.atomic():
        factors.check_code(user=user, code=code)
        Session.objects.filter(id=sid, user=user).update(second_factor_at=timezone.now())


def reset_second_factor(*, user: User, reason: str, actor: User | None) -> int:
    """Take away all that `user` has as a second factor, and end their sessions; how many factors that were.

    Recorded with the reason and, as far as one is named, the member of staff who answers for it.
    """
    with transaction.atomic():
        number = factors.reset(user=user, reason=reason, actor=actor)
        revoke_all_sessions(user=user)
    return number
