"""People for the tests: a cast, and users in any state."""

from itertools import count
from typing import Any, Final

from django.utils import timezone

from apps.users.models import User

PASSWORD: Final = "correct horse battery"

# Django takes them for addresses, and mail to them is refused, or goes to somebody else.
UNMAILABLE: Final = (
    '"a,b"@example.com',
    "nora@exam\u200bple.com",
    "nora@example.com\u2060",
    "nora@exam\u00adple.com",
    "nora@\uff45xample.com",
    "nora@stra\u00dfe.example",
    "nora@" + "\u00fc" * 60 + ".example",
    "\u017fara@example.com",
    "=?utf-8?q?otto?=@example.com",
)

_number = count(1)


def make_user(**fields: Any) -> User:
    """An active user with a confirmed address and PASSWORD; `fields` are those of the model, and `password`."""
    number = next(_number)
    defaults = {
        "email": f"user{number}@example.com",
        "email_confirmed_at": timezone.now(),
        "password": PASSWORD,
        "first_name": "Ursula",
        "last_name": f"User {number}",
    }
    return User.objects.create_user(**{**defaults, **fields})


def make_customer(**fields: Any) -> User:
    """Carla, who buys and redeems."""
    return make_user(
        **{"email": "carla@example.com", "first_name": "Carla", "last_name": "Customer", **fields}
    )


def make_other_customer(**fields: Any) -> User:
    """Otto, who must see nothing of Carla's."""
    return make_user(**{"email": "otto@example.com", "first_name": "Otto", "last_name": "Other", **fields})


def make_staff(**fields: Any) -> User:
    """Stella, who works in the admin and may do everything there."""
    staff = {"email": "stella@example.com", "first_name": "Stella", "last_name": "Staff"}
    return make_user(**{**staff, "is_staff": True, "is_superuser": True, **fields})


def make_unconfirmed(**fields: Any) -> User:
    """Nora, whose account is new, and whose address is not confirmed yet."""
    return make_user(
        **{"email": "nora@example.com", "first_name": "Nora", "last_name": "New", "email_confirmed_at": None}
        | fields
    )


def make_deactivated(**fields: Any) -> User:
    """Somebody whose account was deactivated."""
    return make_user(**{"is_active": False, **fields})
