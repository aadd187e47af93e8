"""Signing up, in and out."""

import uuid
from dataclasses import dataclass

from django.utils import timezone

from apps.users.models import User

from . import tokens
from .models import Session


@dataclass(frozen=True)
class Tokens:
    """What a client holds of its session."""

    access: str
    refresh: str


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


def end_all_sessions(*, user: User) -> None:
    """End every session of `user`: no token given out until now works any more."""
    Session.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())
