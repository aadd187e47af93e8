"""A rule on who was active: the days of each user and the gaps between them are what the rows say."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import connection

from apps.analytics.models import ErasedSignIn
from apps.analytics.periods import ALL_DAYS
from apps.analytics.selectors.coverage import states_now
from apps.analytics.selectors.rows import local_day
from apps.analytics.services.daily_figures.active_days import days_of_rows, gaps_of_days
from apps.users.models import User

from .rule import MAX_LISTED, Finding, Rule


def _check(now: datetime) -> Finding:
    until = states_now().values_list("active_until", flat=True).first()
    if until is None:
        return Finding()
    notes = [
        *_differences(
            "user {}, {}: {} events", "analytics_activeday", "user_id, day, events", days_of_rows(until)
        ),
        *_differences(
            "from {} to {}: {} users", "analytics_activegap", "previous_day, next_day, users", gaps_of_days()
        ),
        *_sign_ins(until),
    ]
    return Finding(len(notes), notes=notes[:MAX_LISTED])


def _differences(words: str, table: str, columns: str, right: tuple[str, tuple[Any, ...]]) -> Iterator[str]:
    """Each row of a table that should not be there, and each that is missing."""
    select, parameters = right
    stored = f"SELECT {columns} FROM {table}"  # noqa: S608 - names
    for fault, sql in (
        ("missing", f"{select} EXCEPT {stored}"),
        ("wrong", f"{stored} EXCEPT {select}"),
    ):
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            for row in cursor:
                yield f"{words.format(*row)} {fault}"


def _sign_ins(until: datetime) -> Iterator[str]:
    """Each user whose last sign-in is not noted as it is, unless it happened or was erased since."""
    users = User.objects.exclude(pk__in=ErasedSignIn.objects.values("user"))
    before = users.filter(last_login__gte=ALL_DAYS.start, last_login__lt=until)
    same = before.filter(counted_sign_in__day=local_day("last_login"))
    removed_sign_ins = users.filter(last_login=None, counted_sign_in__isnull=False)
    for wrong in (before.exclude(pk__in=same.values("pk")), removed_sign_ins):
        for pk in wrong.order_by("pk").values_list("pk", flat=True):
            yield f"user {pk}: the last sign-in is noted wrongly"


RULES = (
    Rule(
        "active_days",
        "The roll-up has each day on which a user bought, redeemed or signed in for the last time, and the gaps"
        " between these days add up. If not: manage.py rebuild_daily_figures.",
        "day",
        _check,
    ),
)
