"""The figures of a period: from the roll-up, with what changed since, and the other days from the rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from django.db.models import BigAutoField, BigIntegerField, DateField, F, QuerySet, Sum

from apps.analytics.models import DailyFigures, OwnerDailyFigures
from apps.analytics.periods import ALL_DAYS, Period
from apps.core.prepared_queries import Ids, PreparedModelQuery, PreparedQuery
from apps.core.snapshots import one_moment
from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherType

from . import changes, live, rows
from .coverage import Coverage, coverage_of, is_counted_apart
from .metrics import NAMES, OF_OWNER, DayFigures, Metrics, MetricsReport, Row, TypeFigures
from .rows import Books


def figures_of(*, period: Period, now: datetime, currency: str, owner: User | None = None) -> MetricsReport:
    """All figures of the platform, or of one owner, in the days of the period."""
    if owner is not None and not is_counted_apart(owner):
        # All from the rows: there is nothing that these would have to be of one moment with.
        return _report([], live.all_figures(owner, [(period.start, period.end)], now), period, currency)
    with one_moment():
        coverage = coverage_of(period)
        figures = [
            *live.all_figures(owner, coverage.live_ranges, now),
            *live.figures_since(owner, coverage, now),
        ]
        if coverage.counted and coverage.returns_changed:
            figures += changes.return_differences(Books(owner), coverage)
        return _report(_counted(owner, coverage), figures, period, currency)


def vouchers_active(now: datetime) -> int:
    """How many vouchers can be redeemed at `now`, whenever they were issued."""
    with one_moment():
        coverage = coverage_of(ALL_DAYS)
        if coverage.since is None or not coverage.counted:
            return Voucher.objects.redeemable(now).count()
        number = DailyFigures.objects.aggregate(number=Sum("vouchers_active"))["number"] or 0
        number += sum(row["vouchers_active"] for row in live.figures_since(None, coverage, now))
        if coverage.live_ranges:
            issued = Voucher.objects.filter(rows.within("purchase_date", coverage.live_ranges))
            number += issued.redeemable(now).count()
        return int(number)


def figures_since(books: Books, coverage: Coverage, now: datetime) -> Iterable[Row]:
    """What has to be added to the roll-up's figures of the days that are counted, of all the books at once."""
    if coverage.since is None or not coverage.counted:
        return
    yield from rows.read(*live.additions(books, coverage.ranges, coverage.ranges_since, coverage.since, now))
    yield from changes.return_differences(books, coverage)


def _counted(owner: User | None, coverage: Coverage) -> list[Row]:
    """The sums of the roll-up by day, and by type, of the counted days. One query."""
    if not coverage.counted:
        return []
    days = {"first": coverage.counted[0].first, "last": coverage.counted[-1].last}
    return _COUNTED.rows(**days) if owner is None else _COUNTED_OF_OWNER.rows(owner=owner.pk, **days)


def _sums(figures: QuerySet[Any], names: Sequence[str]) -> QuerySet[Any, Any]:
    """The figures of these names added up by day and currency, and after these by type and currency."""
    sums = {name: Sum(name) for name in names}
    by_day = figures.values("day", "currency").annotate(
        type_id=live.constant(None, BigIntegerField()), **sums
    )
    by_type = figures.values("currency", type_id=F("voucher_type")).annotate(
        day_id=live.constant(None, DateField()), **sums
    )
    return by_day.values_list("day", "type_id", "currency", *names).union(
        by_type.values_list("day_id", "type_id", "currency", *names), all=True
    )


def _within_days(model: Any, first: Any, last: Any) -> QuerySet[Any]:
    return model.objects.filter(day__gte=first, day__lte=last).order_by()


_DAYS: Final = {"first": DateField(), "last": DateField()}
_COUNTED: Final = PreparedQuery(
    live.row_of(NAMES),
    lambda first, last: _sums(_within_days(DailyFigures, first, last), NAMES),
    **_DAYS,
)
_COUNTED_OF_OWNER: Final = PreparedQuery(
    live.row_of(OF_OWNER),
    lambda owner, first, last: _sums(
        _within_days(OwnerDailyFigures, first, last).filter(owner=owner), OF_OWNER
    ),
    owner=BigAutoField(),
    **_DAYS,
)
_TYPES: Final = PreparedModelQuery(
    lambda types: VoucherType.objects.filter(pk__in=types).order_by("name", "id"), types=Ids()
)


def _report(counted: Iterable[Row], live_rows: Iterable[Row], period: Period, currency: str) -> MetricsReport:
    """Sums by day and others by type, and rows that are in neither yet, as figures for each and in all."""
    totals = Metrics(currency)
    days = {day: Metrics(currency) for day in period.days}
    types: dict[int, Metrics] = {}
    for row in counted:
        if row["day"] is not None:
            totals.add(row)
            days[row["day"]].add(row)
        else:
            types.setdefault(row["type_id"], Metrics(currency)).add(row)
    for row in live_rows:
        totals.add(row)
        # Clamped because the database may know other rules for the time zone than Python does.
        days[period.clamp(row["day"])].add(row)
        types.setdefault(row["type_id"], Metrics(currency)).add(row)
    for figures in (totals, *days.values(), *types.values()):
        figures.drop_empty_currencies()
    kinds = _TYPES.rows(types=types) if types else []
    return MetricsReport(
        totals=totals,
        by_day=[DayFigures(*item) for item in days.items()],
        by_type=[TypeFigures(kind, types[kind.pk]) for kind in kinds if types[kind.pk]],
    )
