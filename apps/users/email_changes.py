"""Changing the address of an account: requested with the password, done by a link at the new address.

The owner reads of it at both addresses, and can stop it from the old one. See decision 18.
"""

import uuid
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from apps.core import mail

from . import email_links, selectors, withheld_mails
from .errors import (
    EmailChangeLinkInvalid,
    InvalidFields,
    NewEmailTaken,
    StaffAddress,
    WrongPassword,
)
from .models import EmailChange, User
from .services import WRONG_PASSWORD, lock_open_account, why_unusable

_listeners: list[Callable[[User], object]] = []


def register(listener: Callable[[User], object]) -> None:
    """Have `listener` called with the user whose address was changed, in that transaction.

    From the `ready` of an AppConfig.
    """
    _listeners.append(listener)


def check_password(*, user: User, password: str) -> None:
    """Whoever asks for another address proves anew who they are. Raises WrongPassword (`password`)."""
    if not user.check_password(password):
        raise WrongPassword(password=WRONG_PASSWORD)


def request_email_change(*, user: User, new_email: str) -> None:
    """Mail a link to `new_email` by which `user`, whose password was checked, gets it, and a note to the old address.

    It replaces a change that was asked for before. Whoever has the new address already gets a mail that says so: the
    caller does not learn of it. Raises InvalidFields (`new_email`), StaffAddress and AccountClosed.
    """
    if user.is_staff:
        raise StaffAddress
    new_email = User.objects.normalize_email(new_email)
    if wrong := _why_refused(new_email, user):
        raise InvalidFields(new_email=[wrong])
    now = timezone.now()
    with transaction.atomic():
        lock_open_account(user=user, alone=True)
        EmailChange.objects.filter(user=user).delete()
        change = EmailChange.objects.create(
            user=user,
            new_email=new_email,
            auth_hash=user.get_session_auth_hash(),
            created_at=now,
            expires_at=now + email_links.lifetime(),
        )
        _tell_both(change, holder=selectors.who_has(new_email))


def confirm_email_change(*, token: str) -> User:
    """Give the user whom a link at a new address names that address; the user as now stored.

    Both addresses get a mail, and what was withheld from an unconfirmed address is queued for the new one. Raises
    EmailChangeLinkInvalid, and NewEmailTaken if somebody else has got the address meanwhile: of two who confirm it at
    the same instant one gets it.
    """
    change_id = email_links.change_id_of(token)
    change = EmailChange.objects.filter(pk=change_id).first() if change_id else None
    if change is None:
        raise EmailChangeLinkInvalid
    with transaction.atomic():
        # The user's row first, as everywhere; the address is a key, so not by a weaker lock.
        user = User.objects.select_for_update().get(pk=change.user_id)
        change = _locked(change.pk)
        if change is None or not _is_open(change, user, timezone.now()):
            raise EmailChangeLinkInvalid
        old_email = user.email
        user.email, user.email_confirmed_at = change.new_email, timezone.now()
        try:
            with transaction.atomic():
                row = User.objects.filter(pk=user.pk)
                row.update(email=user.email, email_confirmed_at=user.email_confirmed_at)
        except IntegrityError:
            if not selectors.is_taken(change.new_email):
                raise
            raise NewEmailTaken from None
        mail.erase_address(old_email, keep_waiting=True)
        for address in (old_email, user.email):
            queue_notice(user, to=address)
        after_change(user)
        withheld_mails.release(user)
    return user


def after_change(user: User) -> None:
    """What follows from another address of `user`, in that transaction: a change that was asked for is over."""
    cancel(user=user)
    for listener in _listeners:
        listener(user)


def cancel_by_link(*, token: str) -> None:
    """Stop the change that waits of the user whom a link at the old address names.

    Raises EmailChangeLinkInvalid if none waits, or the user has another address by now.
    """
    user_id = email_links.canceling_user_id_of(token)
    user = None if user_id is None else User.objects.filter(pk=user_id).first()
    if user is None or not email_links.names_address(token, user.email):
        raise EmailChangeLinkInvalid
    if not EmailChange.objects.filter(user=user).delete()[0]:
        raise EmailChangeLinkInvalid


def cancel(*, user: User) -> None:
    """Stop the change of address that `user` asked for, if there is one."""
    EmailChange.objects.filter(user=user).delete()


def open_change_of(user: User) -> EmailChange | None:
    """The change of address that waits for its link at the new address to be followed."""
    change = EmailChange.objects.filter(user=user).first()
    return change if change and _is_open(change, user, timezone.now()) else None


def remove_expired(*, now: datetime) -> int:
    """Delete the changes whose time is over; how many."""
    return EmailChange.objects.filter(expires_at__lt=now).delete()[0]


def queue_notice(user: User, *, to: str) -> None:
    """Queue a mail to the old or the new address of `user` which says that the address was changed."""
    is_new = to == user.email
    mail.enqueue(
        to=to,
        template="users/email_changed" if is_new else "users/email_changed_from",
        language=user.language,
        context={"link": settings.FRONTEND_URL} if is_new else {},
    )


def _why_refused(new_email: str, user: User) -> tuple[str, str] | None:
    if new_email == user.email:
        return "unchanged", "This is the address that your account has."
    return why_unusable(new_email)


def _tell_both(change: EmailChange, *, holder: User | None) -> None:
    """Queue the mails to the new address, which `holder` may have already, and to the old one."""
    hours = email_links.hours()
    mail.enqueue(
        to=change.new_email,
        template="users/email_in_use" if holder else "users/confirm_new_email",
        language=(holder or change.user).language,
        context={
            "link": settings.FRONTEND_URL if holder else email_links.change_url(change.pk),
            "hours": hours,
        },
        expires_at=change.expires_at,
    )
    mail.enqueue(
        to=change.user.email,
        template="users/email_change_requested",
        language=change.user.language,
        context={"link": email_links.cancellation_url(change.user.pk, change.user.email), "hours": hours},
        expires_at=change.expires_at,
    )


def _locked(change_id: uuid.UUID) -> EmailChange | None:
    return EmailChange.objects.select_for_update().filter(pk=change_id).first()


def _is_open(change: EmailChange, user: User, now: datetime) -> bool:
    """Whether a change still counts: in time, of an open account, whose password is the same as when it was entered."""
    is_same = constant_time_compare(change.auth_hash, user.get_session_auth_hash())
    return user.is_active and not user.is_staff and change.expires_at > now and is_same
