"""Links in mails that prove an e-mail address, or stop its change: signed, and good for EMAIL_CONFIRMATION_TIMEOUT.

The token stands in the fragment of the address, which reaches no server's log and no Referer header. What a link names
is looked up when it is followed, and is gone afterwards: so it works once.
"""

import hashlib
import uuid
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

# What the signatures of each kind of link begin with: none opens what another does.
_CONFIRMATION: Final = "users.email_confirmation"
_CHANGE: Final = "users.email_change"
_CANCELLATION: Final = "users.email_change_cancellation"


def lifetime() -> timedelta:
    """For how long a link is good."""
    return timedelta(seconds=settings.EMAIL_CONFIRMATION_TIMEOUT)


def hours() -> int:
    """For how many whole hours a link is good, as mails say it."""
    return lifetime() // timedelta(hours=1)


def confirmation_url(user_id: int, email: str) -> str:
    """An address of the web client by which whoever reads mail to `email` confirms it for the user."""
    return _url("confirm-email", _CONFIRMATION, _person(user_id, email))


def user_id_of(token: str) -> int | None:
    """The user whom a link to confirm names; None if it is none of ours or too old."""
    return _user_named_by(_CONFIRMATION, token)


def names_address(token: str, email: str) -> bool:
    """Whether a link to confirm, or to stop a change, whose signature was checked, was mailed to this address."""
    return token.partition(":")[0].partition(".")[2] == _digest(email)


def change_url(change_id: uuid.UUID) -> str:
    """An address of the web client by which whoever reads mail to a new address makes the change."""
    return _url("change-email", _CHANGE, str(change_id))


def change_id_of(token: str) -> uuid.UUID | None:
    """The change that a link at the new address names; None if it is none of ours or too old."""
    value = _unsigned(_CHANGE, token)
    return None if value is None else uuid.UUID(value)


def cancellation_url(user_id: int, email: str) -> str:
    """An address of the web client by which whoever reads mail to `email`, the old address, stops the user's change.

    Of whatever change waits then: one that was requested a second time has not made the link in the first note useless.
    """
    return _url("cancel-email-change", _CANCELLATION, _person(user_id, email))


def canceling_user_id_of(token: str) -> int | None:
    """The user whom a link at the old address names; None if it is none of ours or too old."""
    return _user_named_by(_CANCELLATION, token)


def _url(page: str, salt: str, value: str) -> str:
    token = TimestampSigner(salt=salt).sign(value)
    return f"{settings.FRONTEND_URL.rstrip('/')}/{page}#token={token}"


def _person(user_id: int, email: str) -> str:
    return f"{user_id}.{_digest(email)}"


def _user_named_by(salt: str, token: str) -> int | None:
    value = _unsigned(salt, token)
    return None if value is None else int(value.partition(".")[0])


def _unsigned(salt: str, token: str) -> str | None:
    try:
        return TimestampSigner(salt=salt).unsign(token, max_age=lifetime())
    except (BadSignature, UnicodeError):
        return None


def _digest(email: str) -> str:
    """Tells addresses apart in a signed text, without showing one."""
    return hashlib.sha256(email.encode()).hexdigest()[:24]
