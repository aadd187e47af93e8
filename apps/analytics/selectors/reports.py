"""The figures of a period: from the roll-up, with what changed since, and the other days from the rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet, Sum

from apps.analytics.models import DailyFigures, OwnerDailyFigures
from apps.analytics.periods import ALL_DAYS, Period
from apps.core.snapshots import one_moment
from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherType

from . import changes, rows
from .coverage import Coverage, coverage_of, is_counted_apart
from .metrics import MONEY, NAMES, OF_OWNER, DayFigures, Metrics, MetricsReport, Row, TypeFigures, cents
from .rows import Books


def figures_of(*, period: Period, now: datetime, currency: str, owner: User | None = None) -> MetricsReport:
    """All figures of the platform, or of one owner, in the days of the period."""
    books = Books(owner)
    if owner is not None and not is_counted_apart(owner):
        # All from the rows: there is nothing that these would have to be of one moment with.
        live = rows.all_figures(books, [(period.start, period.end)], now)
        return _report([], [], live, period, currency)
    with one_moment():
        coverage = coverage_of(period)
        live = [*rows.all_figures(books, coverage.live_ranges, now), *figures_since(books, coverage, now)]
        by_day, by_type = _counted(owner, coverage)
        return _report(by_day, by_type, live, period, currency)


def vouchers_active(now: datetime) -> int:
    """How many vouchers can be redeemed at `now`, whenever they were issued."""
    with one_moment():
        coverage, books = coverage_of(ALL_DAYS), Books()
        if coverage.since is None or not coverage.counted:
            return Voucher.objects.redeemable(now).count()
        live = [
            *rows.issued(books, coverage.live_ranges, now),
            *changes.voucher_differences(books, coverage.ranges, coverage.since, now),
        ]
        counted = DailyFigures.objects.aggregate(number=Sum("vouchers_active"))["number"] or 0
        return int(counted + sum(row.get("vouchers_active", 0) for row in live))


def figures_since(books: Books, coverage: Coverage, now: datetime) -> Iterable[Row]:
    """What has to be added to the roll-up's figures of the days that are counted."""
    since, ranges = coverage.since, coverage.ranges_since
    if since is None or not coverage.counted:
        return
    if ranges:
        yield from rows.sales(books, ranges, with_returns=False)
        yield from rows.uses(books, ranges, but_reversed=False)
        if books.of_platform:
            yield from rows.reversals(books, ranges)
    yield from rows.reversed_uses(books, [(since, ALL_DAYS.end)], coverage.ranges)
    yield from changes.voucher_differences(books, coverage.ranges, since, now)
    yield from changes.return_differences(books, coverage.has, since)


def _counted(owner: User | None, coverage: Coverage) -> tuple[list[Row], list[Row]]:
    """The sums of the roll-up by day and by type, of the counted days."""
    if not coverage.counted:
        return [], []
    first, last = coverage.counted[0].first, coverage.counted[-1].last
    figures: QuerySet[Any] = DailyFigures.objects.all()
    names: Sequence[str] = NAMES
    if owner is not None:
        figures, names = OwnerDailyFigures.objects.filter(owner=owner.pk), OF_OWNER
    figures = figures.filter(day__gte=first, day__lte=last).order_by()
    return _sums(figures, names, "day", "day"), _sums(figures, names, "voucher_type", "type_id")


def _sums(figures: QuerySet[Any], names: Sequence[str], column: str, called: str) -> list[Row]:
    """The figures of these names, added up by a column, as it is called in the rows, and by currency."""
    sums = figures.values_list(column, "currency").annotate(*(Sum(name) for name in names))
    keys = (called, "currency", *names)
    return [
        {name: cents(value) if name in MONEY else value for name, value in zip(keys, row, strict=True)}
        for row in sums
    ]


def _report(
    by_day: Iterable[Row], by_type: Iterable[Row], live: Iterable[Row], period: Period, currency: str
) -> MetricsReport:
    """Sums by day and by type, and rows that are in neither yet, as figures for each and in all."""
    totals = Metrics(currency)
    days = {day: Metrics(currency) for day in period.days}
    types: dict[int, Metrics] = {}
    for row in by_day:
        totals.add(row)
        days[row["day"]].add(row)
    for row in by_type:
        types.setdefault(row["type_id"], Metrics(currency)).add(row)
    for row in live:
        totals.add(row)
        # Clamped because the database may know other rules for the time zone than Python does.
        days[period.clamp(row["day"])].add(row)
        types.setdefault(row["type_id"], Metrics(currency)).add(row)
    for figures in (totals, *days.values(), *types.values()):
        figures.drop_empty_currencies()
    kinds = VoucherType.objects.filter(pk__in=types).order_by("name", "id")
    return MetricsReport(
        totals=totals,
        by_day=[DayFigures(*item) for item in days.items()],
        by_type=[TypeFigures(kind, types[kind.pk]) for kind in kinds if types[kind.pk]],
    )
