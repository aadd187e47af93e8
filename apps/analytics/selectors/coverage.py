"""Which days of a period are in the roll-up, and until when. What happened since, and other days, are counted live."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db.models import (
    BigAutoField,
    CharField,
    Count,
    DateField,
    DateTimeField,
    Exists,
    Max,
    Min,
    OuterRef,
    QuerySet,
)
from django.utils import timezone

from apps.analytics.models import CountedDay, CountedOwner, FiguresState
from apps.analytics.periods import Period
from apps.core.prepared_queries import Parameter, PreparedQuery
from apps.payments.models import Dispute, Refund
from apps.users.models import User

from .rows import Moment, Ranges, aggregate_subquery, flag

DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Coverage:
    """The runs of days of a period that are counted until `since`, and those that are not counted at all."""

    counted: list[Period] = field(default_factory=list)
    uncounted: list[Period] = field(default_factory=list)
    since: datetime | None = None
    returns_changed: bool = True  # whether refunds or disputes changed since
    version: int | None = None  # of the roll-up

    @property
    def is_plain(self) -> bool:
        """Whether all days are counted without a gap, and nothing went back since."""
        return len(self.counted) == 1 and not self.uncounted and not self.returns_changed

    @property
    def ranges(self) -> Ranges:
        """The counted days as ranges of time."""
        return [(run.start, run.end) for run in self.counted]

    @property
    def ranges_since(self) -> Ranges:
        """What of these ranges is not counted, as it happened since."""
        if self.since is None:
            return []
        return [(max(start, self.since), end) for start, end in self.ranges if end > self.since]

    @property
    def live_ranges(self) -> Ranges:
        """The days that are not counted, as ranges of time."""
        return [(run.start, run.end) for run in self.uncounted]

    def has(self, day: date) -> bool:
        """Whether the day is one of those that are counted."""
        return any(run.first <= day <= run.last for run in self.counted)


class _State(NamedTuple):
    """How far the roll-up goes, and how many days of a period are in it, from the first of these to the last."""

    counted_until: datetime
    number: int
    first: date | None
    last: date | None
    returns_changed: bool
    version: int


def usable_states(zone: str | Parameter, now: Moment) -> QuerySet[FiguresState]:
    """The state of the roll-up if figures may go by it: it counts the days of this zone, and until `now` at most.

    One of a moment to come was counted by a wrong clock, and lacks what happened since.
    """
    return FiguresState.objects.filter(time_zone=zone, counted_until__lte=now).order_by()


def states_now() -> QuerySet[FiguresState]:
    """The state of the roll-up if figures may go by it now."""
    return usable_states(timezone.get_default_timezone_name(), timezone.now())


def _state(zone: Any, now: Any, first: Any, last: Any) -> QuerySet[FiguresState, Any]:
    states = usable_states(zone, now)
    days = CountedDay.objects.filter(day__gte=first, day__lte=last)
    changed_since = {"updated_at__gte": OuterRef("counted_until")}
    return states.values_list(
        "counted_until",
        *(aggregate_subquery(days, function) for function in (Count("day"), Min("day"), Max("day"))),
        flag(
            Exists(Refund.objects.filter(**changed_since)) | Exists(Dispute.objects.filter(**changed_since))
        ),
        "version",
    )


def _state_of_owner(owner: Any, **values: Any) -> QuerySet[FiguresState, Any]:
    return _state(**values).filter(Exists(CountedOwner.objects.filter(owner=owner)))


_FIELDS: Final[dict[str, Any]] = {
    "zone": CharField(),
    "now": DateTimeField(),
    "first": DateField(),
    "last": DateField(),
}
_STATE: Final = PreparedQuery(_State, _state, **_FIELDS)
_STATE_OF_OWNER: Final = PreparedQuery(_State, _state_of_owner, **_FIELDS, owner=BigAutoField())


def coverage_of(period: Period) -> Coverage:
    """What of the period is in the roll-up. One query, or two where it has gaps."""
    return _coverage(period, _STATE.first(**_values(period)))


def coverage_of_owner(owner: User, period: Period) -> Coverage | None:
    """The same where the roll-up has figures of this owner; else None."""
    state = _STATE_OF_OWNER.first(**_values(period), owner=owner.pk)
    return None if state is None else _coverage(period, state)


def _values(period: Period) -> dict[str, Any]:
    return {
        "zone": timezone.get_default_timezone_name(),
        "now": timezone.now(),
        "first": period.first,
        "last": period.last,
    }


def _coverage(period: Period, state: _State | None) -> Coverage:
    if state is None:
        return Coverage(uncounted=[period])
    if state.first is None or state.last is None:
        return Coverage(uncounted=[period], since=state.counted_until)
    if state.number == (state.last - state.first).days + 1:
        counted = [Period(state.first, state.last)]
    else:
        days = CountedDay.objects.filter(day__gte=period.first, day__lte=period.last)
        counted = list(_runs(days.order_by("day").values_list("day", flat=True)))
    return Coverage(
        counted, list(_gaps(counted, period)), state.counted_until, state.returns_changed, state.version
    )


def _runs(days: Iterable[date]) -> Iterator[Period]:
    """Days in order as runs without a gap."""
    run: Period | None = None
    for day in days:
        if run and day == run.last + DAY:
            run = Period(run.first, day)
            continue
        if run:
            yield run
        run = Period(day, day)
    if run:
        yield run


def _gaps(runs: Iterable[Period], period: Period) -> Iterator[Period]:
    """The days of the period that are in none of the runs."""
    first = period.first
    for run in runs:
        if first < run.first:
            yield Period(first, run.first - DAY)
        first = run.last + DAY
    if first <= period.last:
        yield Period(first, period.last)
