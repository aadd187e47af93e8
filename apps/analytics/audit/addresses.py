"""Rules on mail with codes: none goes to an address that is not confirmed, and none is withheld once it is."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.db.models import Exists, OuterRef
from post_office.models import Email

from apps.users.models import User, WithheldMail

from .rule import rule

# How mails write a code; the database compares, and gives none.
CODE: Final = r"(^|\s)[0-9A-Z]{4}(-[0-9A-Z]{4}){3}(\s|$)"


@rule(
    "codes_to_confirmed_addresses",
    "No mail to an account whose address is not confirmed has a code in full.",
    "mail",
)
def codes_to_confirmed_addresses(now: datetime) -> Iterable[Any]:
    """Mail from before the account, to whoever had the address then, is none of it."""
    unconfirmed = User.objects.filter(
        email=OuterRef("to"), email_confirmed_at=None, date_joined__lte=OuterRef("created")
    )
    yield Email.objects.filter(Exists(unconfirmed), message__regex=CODE)


@rule(
    "withheld_until_confirmed",
    "A mail with codes is withheld only until its reader's address is confirmed.",
    "withheld mail",
)
def withheld_until_confirmed(now: datetime) -> Iterable[Any]:
    yield WithheldMail.objects.filter(user__email_confirmed_at__isnull=False)


RULES = (codes_to_confirmed_addresses, withheld_until_confirmed)
