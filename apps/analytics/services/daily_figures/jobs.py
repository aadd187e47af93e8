"""What the job and the command do: count days, and add what happened since."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final

from django.db.models import Min
from django.utils import timezone

from apps.analytics.models import (
    CountedDay,
    CountedOwner,
    CountedReturn,
    CountedVoucher,
    DailyFigures,
    FiguresState,
    OwnerDailyFigures,
)
from apps.analytics.periods import ALL_DAYS, EARLIEST, Period, start_of
from apps.analytics.selectors import changes, rows
from apps.analytics.selectors.coverage import Coverage, coverage_of
from apps.analytics.selectors.metrics import Row
from apps.analytics.selectors.rows import Books
from apps.payments.models import Transaction
from apps.vouchers.models import Voucher, VoucherUsage

from .active_days import count_active_days
from .counting import (
    CHUNK,
    Sums,
    add_unused,
    all_books,
    figures_until,
    insert_returns,
    note_returns,
    note_vouchers,
    recount_unused,
)
from .owners import count_owned_vouchers, count_owners, owners_to_count, owners_with_more
from .registrations import count_registrations
from .state import end_of_counting, locked_state
from .voucher_notes import UnusedKey, changed_notes

DAYS_PER_RUN: Final = 60  # that are missing and counted by one run of the job
DAY: Final = timedelta(days=1)


def update(now: datetime | None = None, *, before_each_step: Callable[[], object] = lambda: None) -> int:
    """Count what happened since the last time, and some of the days that are missing; how many of these.

    `before_each_step` is called before each transaction that writes; what it raises ends the counting there.
    Cheap where nothing is missing: it looks at nothing but what happened since. With the last that was missing, it
    looks for owners to be counted apart among all, and not only those of vouchers that changed.
    """
    missing = list(islice(missing_days(), DAYS_PER_RUN))
    for day in missing:
        before_each_step()
        count_day(day)
    if missing and next(missing_days(), None) is None:
        before_each_step()
        count_owners(owners_to_count())
    before_each_step()
    add_changes(now or timezone.now())
    return len(missing)


def rebuild(period: Period | None = None) -> Iterator[date]:
    """Count the days of the period anew, or all; each is yielded when it is done, the last day first.

    What is not of one day, the worth of unused uses, the days of each user, the registrations and which owners are
    counted apart, is counted anew at the end.
    """
    for day in days_to_rebuild(period):
        count_day(day)
        yield day
    with locked_state() as state:
        recount_unused()
        count_active_days(state, state.counted_until, anew=True)
        count_registrations(state, state.counted_until, anew=True)
        count_owned_vouchers(CountedOwner.objects.all(), state.counted_until)
    count_owners(owners_to_count())
    add_changes(timezone.now())


def days_to_rebuild(period: Period | None = None) -> list[date]:
    """The days of the period, or from the first with any rows, until today; the last first."""
    first, today = first_day(), timezone.localdate()
    if period is None:
        counted = CountedDay.objects.aggregate(first=Min("day"))["first"]
        period = Period(min(first, counted or first), today)
    number = (min(period.last, today) - period.first).days + 1
    return [min(period.last, today) - DAY * back for back in range(number)]


def first_day() -> date:
    """The local day of the first row that figures are counted from; today if there is none."""
    moments = [
        model.objects.aggregate(first=Min(moment))["first"]
        for model, moment in (
            (Transaction, "completed_at"),
            (Voucher, "purchase_date"),
            (VoucherUsage, "used_at"),
        )
    ]
    days = [timezone.localdate(moment) for moment in moments if moment]
    return max(min([*days, timezone.localdate()]), EARLIEST)


def missing_days() -> Iterator[date]:
    """The days from the first with any rows until today that are not counted, the last first."""
    first, today = first_day(), timezone.localdate()
    zone = timezone.get_default_timezone_name()
    counted: set[date] = set()
    if FiguresState.objects.filter(time_zone=zone).exists():
        counted = set(CountedDay.objects.filter(day__gte=first).values_list("day", flat=True))
    number = (today - first).days + 1
    return (day for back in range(number) if (day := today - DAY * back) not in counted)


def count_day(day: date) -> None:
    """Count one day anew, from the rows alone, as far as the rest of the roll-up goes."""
    with locked_state() as state:
        run, now = Period(day, day), timezone.now()
        ranges = [(run.start, run.end)]
        CountedDay.objects.get_or_create(day=day)
        for model in (DailyFigures, OwnerDailyFigures):
            model.objects.filter(day=day).delete()
        note_vouchers(ranges, now)
        note_returns([day], (each for each in changes.returns_in(ranges) if each.day == day))
        sums = Sums()
        for books in all_books():
            for row in figures_until(books, ranges, state.counted_until):
                # Python's rules for the time zone, by which the ranges are, decide of the day.
                sums.add({**row, "day": day})
        sums.insert()


def add_changes(now: datetime) -> None:
    """Add to the days that are counted what happened until now, less a margin, and what changed."""
    with locked_state() as state:
        since, until = state.counted_until, end_of_counting(state, now)
        for day in _days(timezone.localdate(since), timezone.localdate(until)):
            if start_of(day) >= since:  # nothing of it is counted, so it is as if it were
                CountedDay.objects.get_or_create(day=day)
        coverage = coverage_of(ALL_DAYS)
        sums = Sums()
        if until > since:
            for books in all_books():
                for row in _facts(books, (since, until)):
                    if coverage.has(row["day"]):
                        sums.add(row)
        owners = _add_vouchers(sums, coverage, since, now)
        _add_returns(sums, coverage, since)
        sums.add_to_the_roll_up()
        count_active_days(state, until)
        count_registrations(state, until)
        count_owned_vouchers(owners_with_more(until), until)
        FiguresState.objects.filter(pk=state.pk).update(counted_until=until)
        owners |= changes.reassigned_owners(since)
    if owners:
        count_owners(owners_to_count(owners))


def _facts(books: Books, span: tuple[datetime, datetime]) -> Iterator[Row]:
    """What happened in a span of time, and does not change any more."""
    yield from rows.read(
        rows.sales(books, [span], with_returns=False),
        rows.uses(books, [span], but_reversed=False),
        rows.reversals(books, [span]),
        rows.reversed_uses(books, [span], [(ALL_DAYS.start, ALL_DAYS.end)]),
    )


def _add_vouchers(sums: Sums, coverage: Coverage, since: datetime, now: datetime) -> set[int]:
    """Note how vouchers of counted days are now, and add the difference; the owners of those that changed."""
    counted_owners = set(CountedOwner.objects.values_list("owner", flat=True))
    unused: dict[UnusedKey, Decimal] = defaultdict(Decimal)
    owners = set()
    for portion in changed_notes(since, now):
        changed = [each for each in portion if coverage.has(each.day) and each.new != each.old]
        for voucher in changed:
            owners.add(voucher.owner_id)
            for row in voucher.differences():
                sums.add(row)
                if voucher.owner_id in counted_owners:
                    sums.add({**row, "owner_id": voucher.owner_id})
            for key, value in voucher.unused_differences():
                unused[key] += value
        CountedVoucher.objects.bulk_create(
            [each.note() for each in changed],
            batch_size=CHUNK,
            update_conflicts=True,
            unique_fields=("voucher",),
            update_fields=("status", "uses_remaining", "expires_on"),
        )
    add_unused(unused)
    return owners - counted_owners


def _add_returns(sums: Sums, coverage: Coverage, since: datetime) -> None:
    """Note what went back on counted days, and add the difference."""
    ids = changes.changed_returns(since)
    if not ids:
        return
    before, after = (
        [each for each in returns if coverage.has(each.day)]
        for returns in (changes.counted_returns(ids), changes.returns_of(ids))
    )
    of = {
        pk: columns
        for pk, *columns in Transaction.objects.filter(pk__in=ids).values_list(
            "pk", "voucher_type_id", "currency", "user_id"
        )
    }
    counted_owners = set(
        CountedOwner.objects.filter(owner__in={owner for *_, owner in of.values()}).values_list(
            "owner", flat=True
        )
    )
    for each in (*after, *(each.negative for each in before)):
        type_id, currency, owner = of[each.transaction_id]
        row = {"day": each.day, "type_id": type_id, "currency": currency, **each.figures}
        sums.add(row)
        if owner in counted_owners:
            sums.add({**row, "owner_id": owner})
    days = {each.day for each in before}
    CountedReturn.objects.filter(transaction__in=ids, day__in=days).delete()
    insert_returns(after)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + DAY * number for number in range((last - first).days + 1))
