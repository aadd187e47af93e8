"""Signing up and in, each of which opens a session."""

from dataclasses import dataclass

from django.contrib.auth import authenticate
from django.db import transaction
from django.utils import timezone

from apps.authentication.errors import InvalidCredentials
from apps.authentication.tokens import TokenPair
from apps.core.languages import Language
from apps.users import email_confirmation
from apps.users import services as users
from apps.users.models import User

from .sessions import open_session


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
