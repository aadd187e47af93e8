"""Reading people."""

from .models import User


def is_taken(email: str) -> bool:
    """Whether an account has this e-mail address, in whatever case it is written."""
    return User.objects.filter(email=email).exists()


def user_with_profile(user_id: int) -> User:
    """A user and their profile, in one query."""
    return User.objects.select_related("profile").get(pk=user_id)
