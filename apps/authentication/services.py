"""Signing up, in and out."""

import uuid
from dataclasses import dataclass

from django.contrib.auth import authenticate
from django.db import transaction
from django.utils import timezone

from apps.users import services as users
from apps.users.errors import InvalidFields
from apps.users.models import User

from . import selectors, tokens
from .errors import InvalidCredentials, TokenInvalid
from .models import Session


@dataclass(frozen=True)
class Tokens:
    """What a client holds of its session."""

    access: str
    refresh: str


@dataclass(frozen=True)
class SignedIn:
    """A person and the first tokens of their new session."""

    user: User
    tokens: Tokens


def register(
    *, email: str, password: str, first_name: str, last_name: str, phone_number: str = ""
) -> SignedIn:
    """A new account, signed in. Raises InvalidFields: `email` taken, `password` too weak."""
    with transaction.atomic():
        user = users.create_account(
            email=email,
            password=password,
            first_name=first_name,
            last_name=last_name,
            phone_number=phone_number,
        )
        return SignedIn(user, open_session(user=user))


def sign_in(*, email: str, password: str) -> SignedIn:
    """A new session of the user who has this e-mail address and password.

    Raises InvalidCredentials, the same for an unknown address, a wrong password and a deactivated account;
    each runs the password hasher once, so that the time of the answer tells no more than its words.
    """
    user = authenticate(email=email, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    return SignedIn(user, open_session(user=user))


def open_session(*, user: User) -> Tokens:
    """A new session of `user`, who has proved who they are, and its first tokens."""
    sid = uuid.uuid4()
    issued = tokens.issue(sid=sid, user_id=user.pk)
    Session.objects.create(
        id=sid,
        user=user,
        refresh_jti=issued.refresh_jti,
        auth_hash=user.get_session_auth_hash(),
        expires_at=issued.expires_at,
    )
    return Tokens(access=issued.access, refresh=issued.refresh)


def refresh_session(*, refresh: str) -> Tokens:
    """Exchange a refresh token for a new pair; the token is used up.

    Raises TokenInvalid. A token that was used before, or loses to a twin at the same instant, was copied:
    its session ends, so that neither holder keeps it. Call it outside a transaction, which would undo that.
    """
    claims = tokens.read_refresh(refresh)
    session = selectors.live_session(claims)
    issued = tokens.issue(sid=session.pk, user_id=session.user_id)
    used_up = Session.objects.filter(id=session.pk, ended_at=None, refresh_jti=claims.jti).update(
        refresh_jti=issued.refresh_jti, refreshed_at=timezone.now(), expires_at=issued.expires_at
    )
    if not used_up:
        end_session(user=session.user, sid=session.pk)
        raise TokenInvalid
    return Tokens(access=issued.access, refresh=issued.refresh)


def change_password(*, user: User, old_password: str, new_password: str) -> Tokens:
    """A new password for `user`: every session ends, and a new one opens for whoever asked.

    Raises InvalidFields: `old_password` wrong, `new_password` too weak.
    """
    with transaction.atomic():
        users.change_password(user=user, old_password=old_password, new_password=new_password)
        end_all_sessions(user=user)
        return open_session(user=user)


def end_session(*, user: User, sid: uuid.UUID) -> None:
    """End one session of `user`, if it is live: none of its tokens works any more."""
    Session.objects.filter(id=sid, user=user, ended_at=None).update(ended_at=timezone.now())


def end_session_of(*, user: User, refresh: str) -> None:
    """End the session of a refresh token; nothing happens if it has ended already.

    Raises InvalidFields (`refresh`) if the token is none of `user`'s.
    """
    try:
        claims = tokens.read_refresh(refresh)
    except TokenInvalid:
        claims = None
    if claims is None or claims.user_id != str(user.pk):
        raise InvalidFields(refresh=[(TokenInvalid.code, "This is not a refresh token of yours.")])
    end_session(user=user, sid=claims.sid)


def end_all_sessions(*, user: User) -> None:
    """End every session of `user`: no token given out until now works any more."""
    Session.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())
