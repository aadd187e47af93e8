"""A new password, by the old one or by a mailed link: every session ends."""

from django.db import transaction

from apps.authentication import password_reset_links
from apps.authentication.errors import ResetLinkInvalid
from apps.authentication.tokens import TokenPair
from apps.users import email_confirmation
from apps.users import selectors as users_selectors
from apps.users import services as users
from apps.users.models import User

from .sessions import open_session, revoke_all_sessions


def change_password(*, user: User, old_password: str, new_password: str) -> TokenPair:
    """A new password for `user`: all sessions end, one opens for the client of this request, and they get a mail.

    Raises InvalidFields: `old_password` wrong, `new_password` too weak.
    """
    with transaction.atomic():
        users.change_password(user=user, old_password=old_password, new_password=new_password)
        revoke_all_sessions(user=user)
        password_reset_links.tell_of_change(user)
        return open_session(user=user)


def request_password_reset(*, email: str) -> None:
    """Mail a link for a new password to this address, if an active account has it.

    If none has, all the same is done but for the mail: neither the answer nor its time tells which it was.
    """
    password_reset_links.send(users_selectors.who_may_reset(email))


def reset_password(*, uid: str, token: str, password: str) -> None:
    """Give the user whom the link names a new password: every session ends, and so does the link; they get a mail.

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
        password_reset_links.tell_of_change(user)
