"""Telling of what becomes of a second factor: in the history of the account, and to its person by mail."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.utils import timezone
from django.utils.formats import date_format

from apps.core import mail
from apps.users.models import User


def record(user: User, what: str, *, actor: User | None = None) -> None:
    """Write it into the history of the account, which staff read in the admin; by the person, unless by `actor`."""
    LogEntry.objects.log_actions((actor or user).pk, [user], CHANGE, what)


def notify(user: User, change: str) -> None:
    """Mail the person what changed, so that they learn of what they did not do themselves."""
    if user.mail_address:
        mail.enqueue(
            to=user.mail_address,
            template="authentication/second_factor_changed",
            language=None,
            context={"change": change, "moment": date_format(timezone.localtime(), "DATETIME_FORMAT")},
        )
