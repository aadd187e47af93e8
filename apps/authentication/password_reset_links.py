"""Links by which a forgotten password is replaced: how they are built, mailed, whom they name, and the mail after it.

uid and token stand in the fragment of the address, which a browser keeps to itself: they reach no server's log
and no Referer header. The address is that of FRONTEND_URL, whatever host the request named.
"""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from apps.core import mail
from apps.core.api.filters import LARGEST_ID
from apps.users.models import User

generator: Final = PasswordResetTokenGenerator()


def send(user: User | None) -> None:
    """Queue the mail with a new link for `user`; for None, do the same work for nobody."""
    somebody = user or User(pk=0, email="nobody@example.invalid")
    mail.enqueue(
        to=user.email if user else "",
        template="authentication/password_reset",
        language=somebody.language,
        # No name: whoever registered with another's address would write to them in our name.
        context={"link": link_for(somebody), "minutes": settings.PASSWORD_RESET_TIMEOUT // 60},
        expires_at=timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
    )


def tell_of_change(user: User) -> None:
    """Queue the mail that says to `user` that their password was changed, so that they learn of what was not they."""
    if user.mail_address:
        mail.enqueue(
            to=user.mail_address,
            template="authentication/password_changed",
            language=user.language,
            context={
                "moment": timezone.now(),
                "link": f"{settings.FRONTEND_URL.rstrip('/')}/forgot-password",
            },
        )


def link_for(user: User) -> str:
    """An address of the web client that lets whoever has it set a new password for `user`, once."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return f"{settings.FRONTEND_URL.rstrip('/')}/reset-password#uid={uid}&token={generator.make_token(user)}"


def user_of(uid: str, token: str) -> User | None:
    """The active user whom a link names, if it is one of ours, in time and not used."""
    try:
        written = urlsafe_base64_decode(uid).decode("ascii")
    except ValueError:
        return None
    if not written.isdecimal() or len(written) > 19 or int(written) > LARGEST_ID:
        return None
    user = User.objects.filter(pk=int(written), is_active=True).first()
    if user is None or not user.has_usable_password() or not generator.check_token(user, token):
        return None
    return user
