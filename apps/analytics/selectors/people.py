"""How many people there are, how many of them are new, and how many did something."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import CharField, Count, DateField, DateTimeField, OuterRef, QuerySet, Sum
from django.utils import timezone

from apps.analytics.models import DailyRegistrations
from apps.analytics.periods import Period
from apps.core.prepared_queries import PreparedQuery, count_subquery
from apps.core.snapshots import one_moment
from apps.users.models import User

from .active_users import active_difference, count_rows, gaps_of, is_counted_by_begin
from .coverage import usable_states
from .rows import aggregate_subquery, within


@dataclass(frozen=True)
class UserFigures:
    """All accounts, those created in the period, and those that bought, redeemed or last signed in in it."""

    total: int
    new: int
    active: int


def user_figures(period: Period) -> UserFigures:
    """The users of the platform. Two queries where all is in the roll-up."""
    with one_moment():
        counted = _counted(period)
        if counted is None or counted.registered_until is None:
            total, new = _registrations_by_rows(period)
        else:
            total = counted.registered + counted.registered_since
            new = counted.registered_in_period + counted.registered_in_period_since
        if counted is None or counted.active_until is None:
            active = count_rows(period)
        else:
            active = counted.active + active_difference(period, counted.active_until)
        return UserFigures(total, new, active)


class _Counted(NamedTuple):
    """What the roll-up says of users, and who registered since, of all and of a period."""

    active_until: datetime | None
    registered_until: datetime | None
    active: int
    registered: int
    registered_in_period: int
    registered_since: int
    registered_in_period_since: int


def _counted(period: Period) -> _Counted | None:
    query = _BY_BEGIN if is_counted_by_begin(period) else _BY_END
    return query.first(
        zone=timezone.get_default_timezone_name(),
        now=timezone.now(),
        first=period.first,
        last=period.last,
        start=period.start,
        end=period.end,
    )


def _registrations_by_rows(period: Period) -> tuple[int, int]:
    """All accounts, and those created in the period, from nothing but the rows."""
    created = within("date_joined", [(period.start, period.end)])
    numbers = User.objects.aggregate(total=Count("pk"), new=Count("pk", filter=created))
    return numbers["total"], numbers["new"]


def _query(*, by_begin: bool) -> PreparedQuery[_Counted]:
    def build(zone: Any, now: Any, first: Any, last: Any, start: Any, end: Any) -> QuerySet[Any, Any]:
        since = User.objects.filter(date_joined__gte=OuterRef("registered_until"))
        days = DailyRegistrations.objects.all()
        return usable_states(zone, now).values_list(
            "active_until",
            "registered_until",
            aggregate_subquery(gaps_of(first, last, by_begin=by_begin), Sum("users")),
            aggregate_subquery(days, Sum("users")),
            aggregate_subquery(days.filter(day__gte=first, day__lte=last), Sum("users")),
            count_subquery(since),
            count_subquery(since.filter(within("date_joined", [(start, end)]))),
        )

    return PreparedQuery(
        lambda *columns: _Counted(*columns[:2], *(number or 0 for number in columns[2:])),
        build,
        zone=CharField(),
        now=DateTimeField(),
        first=DateField(),
        last=DateField(),
        start=DateTimeField(),
        end=DateTimeField(),
    )


_BY_BEGIN: Final = _query(by_begin=True)
_BY_END: Final = _query(by_begin=False)
