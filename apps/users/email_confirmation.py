"""Confirming the address of an account: by a link in a mail, by a password that was reset by one, or by staff."""

from typing import Final

from django.db import transaction
from django.utils import timezone

from apps.core import mail

from . import email_links, selectors, withheld_mails
from .errors import ConfirmationLinkInvalid, EmailAlreadyConfirmed
from .models import User

NOBODY: Final = User(pk=0, email="nobody@example.invalid")


def send_link(user: User) -> None:
    """Queue the mail with a link by which its reader confirms the address of `user`."""
    _queue(user, to=user.email)


def send_link_again(*, email: str) -> None:
    """Mail a link to this address, if an active account has it that is not confirmed.

    If none has, all the same is done but for the mail: neither the answer nor its time tells which it was.
    """
    user = selectors.who_may_confirm(email)
    _queue(user or NOBODY, to=user.email if user else "")


def confirm_by_link(*, token: str) -> None:
    """Confirm the address that a link was mailed to; what was withheld from it is queued.

    Raises ConfirmationLinkInvalid, also where the account has another address by now or is closed, and
    EmailAlreadyConfirmed. Of several uses of a link at the same instant one confirms.
    """
    user_id = email_links.user_id_of(token)
    if user_id is None:
        raise ConfirmationLinkInvalid
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not email_links.names_address(token, user.email):
        raise ConfirmationLinkInvalid
    if not confirm(user=user):
        raise EmailAlreadyConfirmed


def confirm(*, user: User) -> bool:
    """Note that the address of `user` reaches them; False if that is known, or the address is another by now.

    What was withheld from them is queued in the same transaction.
    """
    now = timezone.now()
    with transaction.atomic():
        unconfirmed = User.objects.filter(pk=user.pk, email=user.email, email_confirmed_at=None)
        if not unconfirmed.update(email_confirmed_at=now):
            return False
        user.email_confirmed_at = now
        withheld_mails.release(user)
    return True


def _queue(user: User, *, to: str) -> None:
    mail.enqueue(
        to=to,
        template="users/confirm_email",
        language=user.language,
        # No name: whoever registered with another's address would write to them in our name.
        context={
            "link": email_links.confirmation_url(user.pk, user.email),
            "hours": email_links.hours(),
        },
        expires_at=timezone.now() + email_links.lifetime(),
    )
