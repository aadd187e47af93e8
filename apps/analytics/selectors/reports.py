"""The figures of a period: from the roll-up, with what changed since, and the other days from the rows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db.models import Sum

from apps.analytics.models import DailyFigures
from apps.analytics.periods import ALL_DAYS, Period
from apps.core.prepared_queries import Ids, PreparedQuery
from apps.core.snapshots import one_moment
from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherType

from . import changes, live, rows
from .counted import CountedSums, counted_sums
from .coverage import Coverage, coverage_of, coverage_of_owner
from .metrics import DayFigures, Metrics, MetricsReport, Row, SoldType, TypeFigures
from .rows import Books


def figures_of(
    *, period: Period, now: datetime, currency: str, owner: User | None = None, brief: bool = False
) -> MetricsReport:
    """All figures of the platform, or of one owner, in the days of the period.

    `brief` leaves out what no dashboard shows: those in OF_PLATFORM, and of each day all but those in OF_SERIES.
    """
    if owner is not None:
        coverage_apart = coverage_of_owner(owner, period)
        if coverage_apart is None:
            # All from the rows: there is nothing that these would have to be of one moment with.
            figures = live.all_figures(owner, [(period.start, period.end)], now, brief=brief)
            return _report(CountedSums([], [], None), figures, period, currency)
        report = _of_one_version(
            owner, coverage_apart, period=period, now=now, currency=currency, brief=brief
        )
        if report is not None:
            return report
    with one_moment():
        coverage = coverage_of(period)
        figures = [
            *live.all_figures(owner, coverage.live_ranges, now, brief=brief),
            *live.figures_since(owner, coverage, now, brief=brief),
        ]
        if coverage.counted and coverage.returns_changed:
            figures += changes.return_differences(Books(owner, brief=brief), coverage)
        return _report(counted_sums(owner, coverage, brief=brief), figures, period, currency)


def _of_one_version(
    owner: User, coverage: Coverage, *, period: Period, now: datetime, currency: str, brief: bool
) -> MetricsReport | None:
    """The figures of an owner who is counted apart, without a transaction; None if they may not be of one moment.

    One statement counts all that changed in the rows. The others read the roll-up: if its version is the same in the
    first of them and in the last, nobody wrote to it between.
    """
    if not coverage.is_plain:
        return None
    figures = live.figures_since(owner, coverage, now, brief=brief)
    counted = counted_sums(owner, coverage, brief=brief)
    if counted.version != coverage.version:
        return None
    return _report(counted, figures, period, currency)


def vouchers_active(now: datetime) -> int:
    """How many vouchers can be redeemed at `now`, whenever they were issued."""
    with one_moment():
        coverage = coverage_of(ALL_DAYS)
        if coverage.since is None or not coverage.counted:
            return Voucher.objects.redeemable(now).count()
        number = DailyFigures.objects.aggregate(number=Sum("vouchers_active"))["number"] or 0
        changed = live.figures_since(None, coverage, now, brief=True)
        number += sum(row.get("vouchers_active", 0) for row in changed)
        if coverage.live_ranges:
            issued = Voucher.objects.filter(rows.within("purchase_date", coverage.live_ranges))
            number += issued.redeemable(now).count()
        return int(number)


def _report(counted: CountedSums, others: Iterable[Row], period: Period, currency: str) -> MetricsReport:
    """What is counted, and rows that are not in it yet, as figures for each day and type, and in all."""
    totals = Metrics(currency)
    days = {day: Metrics(currency) for day in period.days}
    types: dict[int, Metrics] = {}
    kinds: dict[int, SoldType] = {}
    for row in counted.by_day:
        days[row["day"]].add(row)
    for kind, row in counted.by_type:
        kinds[kind.id] = kind
        totals.add(row)
        types.setdefault(kind.id, Metrics(currency)).add(row)
    for row in others:
        totals.add(row)
        # Clamped because the database may know other rules for the time zone than Python does.
        days[period.clamp(row["day"])].add(row)
        types.setdefault(row["type_id"], Metrics(currency)).add(row)
    for figures in (totals, *days.values(), *types.values()):
        figures.drop_empty_currencies()
    if types.keys() - kinds.keys():
        kinds = {kind.id: kind for kind in _TYPES.rows(types=types)}
    return MetricsReport(
        totals=totals,
        by_day=[DayFigures(*item) for item in days.items()],
        by_type=[TypeFigures(kind, types[pk]) for pk, kind in kinds.items() if types[pk]],
    )


_TYPES: Final = PreparedQuery(
    SoldType,
    lambda types: (
        VoucherType.objects.filter(pk__in=types)
        .order_by("name", "id")
        .values_list("id", "name", "service_type")
    ),
    types=Ids(),
)
