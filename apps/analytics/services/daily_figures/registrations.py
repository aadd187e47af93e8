"""How many accounts were created on each day."""

from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet

from apps.analytics.models import DailyRegistrations, FiguresState
from apps.analytics.periods import ALL_DAYS
from apps.analytics.selectors.rows import local_day, within
from apps.users.models import User

from .counting import CHUNK


def count_registrations(state: FiguresState, until: datetime, *, anew: bool = False) -> None:
    """Bring the registrations to `until`; `anew` or if there are none yet, from the rows. The state must be locked."""
    since = state.registered_until
    if anew or since is None:
        DailyRegistrations.objects.all().delete()
        since = ALL_DAYS.start
    if until > since:
        _add(since, until)
    FiguresState.objects.filter(pk=state.pk).update(registered_until=until)


def registrations(since: datetime, until: datetime) -> QuerySet[Any, Any]:
    """Local day, and number of the accounts that were created on it, from one moment to another."""
    rows = User.objects.filter(within("date_joined", [(since, until)])).order_by()
    days = rows.annotate(day=local_day("date_joined")).values_list("day")
    numbers: QuerySet[Any, Any] = days.annotate(number=Count("pk"))
    return numbers


def _add(since: datetime, until: datetime) -> None:
    numbers = dict(registrations(since, until))
    for day, users in DailyRegistrations.objects.filter(day__in=numbers).values_list("day", "users"):
        numbers[day] += users
    DailyRegistrations.objects.bulk_create(
        (DailyRegistrations(day=day, users=number) for day, number in numbers.items()),
        batch_size=CHUNK,
        update_conflicts=True,
        unique_fields=("day",),
        update_fields=("users",),
    )
