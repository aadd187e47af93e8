"""Signing up, in and out, by use case."""

from .passwords import change_password, request_password_reset, reset_password
from .second_factor import pass_second_factor, reset_second_factor
from .sessions import (
    REFRESH_GRACE,
    open_session,
    refresh_session,
    remove_old_sessions,
    renew_access,
    revoke_all_sessions,
    revoke_own_session_by_token,
    revoke_session,
    revoke_session_by_token,
)
from .sign_in import SignedIn, login, register

__all__ = [
    "REFRESH_GRACE",
    "SignedIn",
    "change_password",
    "login",
    "open_session",
    "pass_second_factor",
    "refresh_session",
    "register",
    "remove_old_sessions",
    "renew_access",
    "request_password_reset",
    "reset_password",
    "reset_second_factor",
    "revoke_all_sessions",
    "revoke_own_session_by_token",
    "revoke_session",
    "revoke_session_by_token",
]
