"""What a password may be, wherever it is set (the API, the admin or a command), and how it is kept."""

import unicodedata
from typing import Final, TypeVar

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.password_validation import MinimumLengthValidator as DjangoMinimumLengthValidator
from django.core.exceptions import ValidationError

MIN_LENGTH: Final = 12  # the hint in shop/static/shop/locales says it too
MAX_LENGTH: Final = 128

Password = TypeVar("Password", str, None, str | None)


def normalised(password: Password) -> Password:
    """The password in one of the ways that a keyboard may send it (Unicode NFKC), so that all are the same.

    One far too long stays as it is: normalising takes the square of its length, and it is refused anyway.
    """
    if isinstance(password, str) and len(password) <= 4 * MAX_LENGTH:
        return unicodedata.normalize("NFKC", password)
    return password


class MinimumLengthValidator(DjangoMinimumLengthValidator):
    """Refuses passwords of fewer than MIN_LENGTH characters, with the code `password_too_short`."""

    def __init__(self) -> None:
        super().__init__(MIN_LENGTH)


class MaximumLengthValidator:
    """Refuses passwords that sign-in would refuse unread, as too long to be hashed for everyone who asks."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raises ValidationError with the code `password_too_long`."""
        if len(password) > MAX_LENGTH:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        return f"A password has at most {MAX_LENGTH} characters."


class Argon2idPasswordHasher(Argon2PasswordHasher):
    """Argon2id at the parameters of OWASP's Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane.

    Django's own (100 MiB, 2 passes, 8 lanes) take ten times as long, and memory for each parallel sign-in.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
