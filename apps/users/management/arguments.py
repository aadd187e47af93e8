"""What commands call people by: the e-mail address."""

from django.core.management.base import CommandError

from apps.users.models import User


def user_called(email: str) -> User:
    """The user with this e-mail address, in any case. Raises CommandError if there is none."""
    user = User.objects.filter(email=email).first()
    if user is None:
        raise CommandError(f"There is no user {email}.")
    return user


def staff_called(email: str) -> User:
    """The member of staff with this address, who answers for what a command does. Raises CommandError."""
    user = user_called(email)
    if not (user.is_staff and user.is_active):
        raise CommandError(f"{email} is not an active member of staff.")
    return user
