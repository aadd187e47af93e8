"""A rule on new accounts: the roll-up has as many for each day as there are rows."""

from datetime import datetime

from apps.analytics.models import DailyRegistrations
from apps.analytics.periods import ALL_DAYS
from apps.analytics.selectors.coverage import states_now
from apps.analytics.services.daily_figures.registrations import registrations

from .rule import MAX_LISTED, Finding, Rule


def _check(now: datetime) -> Finding:
    until = states_now().values_list("registered_until", flat=True).first()
    if until is None:
        return Finding()
    counted = dict(DailyRegistrations.objects.values_list("day", "users"))
    right = dict(registrations(ALL_DAYS.start, until))
    notes = [
        f"{day}: rolled up {counted.get(day)}, counted {right.get(day)}"
        for day in sorted(counted.keys() | right.keys())
        if counted.get(day) != right.get(day)
    ]
    return Finding(len(notes), notes=notes[:MAX_LISTED])


RULES = (
    Rule(
        "registrations",
        "The roll-up has the number of accounts that were created on each day."
        " If not: manage.py rebuild_daily_figures.",
        "day",
        _check,
    ),
)
