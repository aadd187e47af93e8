"""What is owed for unused uses, and what expired unused."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Generic, TypeVar

from django.db.models import DecimalField, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from apps.analytics.models import UnusedValue
from apps.analytics.periods import ALL_DAYS, Period, start_of
from apps.core.snapshots import one_moment
from apps.vouchers.models import Voucher
from apps.vouchers.states import VoucherStatus

from .changes import changed_vouchers
from .coverage import Coverage, coverage_of
from .metrics import cents
from .rows import flag, local_day

# The status of a voucher whose unused uses are worth something: to its owner, or after its expiry to us.
WITH_VALUE: Final = (VoucherStatus.ACTIVE, VoucherStatus.EXPIRED)
HAS_VALUE: Final = Q(is_active=True, uses_remaining__gt=0)  # the same by the columns of the voucher


@dataclass(frozen=True)
class Obligations:
    """The worth of unused uses in one currency: those that can still be redeemed, and those that expired.

    Of vouchers that were paid for; and apart from them, of those in batches, for which nobody paid.
    """

    currency: str
    outstanding_liability: Decimal
    breakage: Decimal
    unpaid_outstanding: Decimal
    unpaid_expired: Decimal


@dataclass(frozen=True)
class _Key:
    currency: str
    is_sold: bool
    is_expired: bool


SumKey = TypeVar("SumKey", bound=Hashable)


class _Values(Generic[SumKey]):
    """Sums of face value × uses remaining, each of them with the number of uses by which it is divided."""

    def __init__(self) -> None:
        self.sums: dict[SumKey, dict[int, Fraction]] = defaultdict(lambda: defaultdict(Fraction))

    def add(self, key: SumKey, total_uses: int, value: Decimal | None) -> None:
        if value:
            self.sums[key][total_uses] += Fraction(cents(value))

    def of(self, key: SumKey) -> Decimal:
        """The sum of the quotients: exact until it is rounded to the cent, half up."""
        parts = self.sums[key].items() if key in self.sums else ()
        exact = sum((dividend / total_uses for total_uses, dividend in parts), Fraction(0))
        return Decimal(math.floor(exact * 100 + Fraction(1, 2))).scaleb(-2)

    @property
    def keys(self) -> set[SumKey]:
        """Those of a sum that is not nothing."""
        return {key for key, sums in self.sums.items() if any(sums.values())}


def obligations(*, now: datetime, currency: str) -> list[Obligations]:
    """Outstanding liability and breakage at `now`, in `currency` first, then in others: see Obligations.

    They are the unused part of what active and expired vouchers cost: face value × uses remaining / total uses. It
    is summed without rounding, and the total rounded to the cent, half up. A voucher that is used up or inactive is
    in neither. What belongs to no batch was sold (the audit's rule voucher_origin).
    """
    values: _Values[_Key] = _Values()
    with one_moment():
        for key, total_uses, value in _sums(now):
            values.add(key, total_uses, value)
    currencies = {key.currency for key in values.keys}

    def unused(currency: str, *, sold: bool, expired: bool) -> Decimal:
        return values.of(_Key(currency, sold, expired))

    return [
        Obligations(
            currency=each,
            outstanding_liability=unused(each, sold=True, expired=False),
            breakage=unused(each, sold=True, expired=True),
            unpaid_outstanding=unused(each, sold=False, expired=False),
            unpaid_expired=unused(each, sold=False, expired=True),
        )
        for each in (currency, *sorted(currencies - {currency}))
    ]


def _sums(now: datetime) -> Iterator[tuple[_Key, int, Decimal | None]]:
    """What to add up: of the roll-up, of what changed since, and of what expired today."""
    coverage, today = coverage_of(ALL_DAYS), timezone.localdate(now)
    if coverage.since is None:
        yield from _live(Voucher.objects.filter(HAS_VALUE), Q(expiry_date__lte=now))
        return
    sums = UnusedValue.objects.order_by().values_list(
        "currency", "is_sold", flag(Q(expires_on__lt=today)), "total_uses"
    )
    for *key, total_uses, value in sums.annotate(sum=Sum("value")):
        yield _Key(*key), total_uses, value
    yield from _differences(coverage, now, today)
    # Those of today stand among the later ones until here.
    expired = Voucher.objects.filter(HAS_VALUE, expiry_date__gte=start_of(today), expiry_date__lte=now)
    for key, total_uses, value in _live(expired, Q(expiry_date__lte=now)):
        yield key, total_uses, value
        yield _Key(key.currency, key.is_sold, is_expired=False), total_uses, -cents(value)


def _live(vouchers: QuerySet[Voucher], expired: Q) -> Iterator[tuple[_Key, int, Decimal | None]]:
    sums = vouchers.order_by().values_list(
        "currency", flag(Q(batch__isnull=True)), flag(expired), "total_uses"
    )
    for *key, total_uses, value in sums.annotate(sum=Sum(F("face_value") * F("uses_remaining"))):
        yield _Key(*key), total_uses, value


def _differences(
    coverage: Coverage, now: datetime, today: date
) -> Iterator[tuple[_Key, int, Decimal | None]]:
    """What the roll-up has too much or too little, for vouchers that changed, and those of days not counted."""
    assert coverage.since is not None
    doubtful = changed_vouchers(coverage.since, now, issued_in=coverage.live_ranges)
    rows = Voucher.objects.filter(pk__in=doubtful).order_by()
    keys = rows.values_list(
        "currency",
        flag(Q(batch__isnull=True)),
        "total_uses",
        flag(Q(expiry_date__lt=start_of(today))),
        flag(Q(counted__expires_on__lt=today)),
    )
    value = DecimalField(max_digits=24, decimal_places=2)
    counted = F("face_value") * F("counted__uses_remaining")
    for currency, is_sold, total_uses, expired, was_expired, new, old in keys.annotate(
        new=Sum(F("face_value") * F("uses_remaining"), filter=HAS_VALUE, output_field=value),
        old=Sum(counted, filter=Q(counted__status__in=WITH_VALUE), output_field=value),
    ):
        yield _Key(currency, is_sold, expired), total_uses, new
        if old:
            yield _Key(currency, is_sold, was_expired), total_uses, -cents(old)


@dataclass(frozen=True)
class DayBreakage:
    """What was paid for uses that expired on a day, in one currency."""

    date: date
    currency: str
    amount: Decimal


def breakage_by_day(*, period: Period, now: datetime) -> list[DayBreakage]:
    """The breakage of each day of the period on which vouchers expired, until `now`, by day and currency.

    That is what Obligations call so, on the local day of the expiry as it is now. Each day's is rounded to the cent,
    half up, so many days may differ from their total by some cents.
    """
    values: _Values[tuple[date, str]] = _Values()
    with one_moment():
        for day, currency, total_uses, value in _expired(period, now):
            values.add((day, currency), total_uses, value)
    days = sorted(values.keys)
    return [DayBreakage(day, currency, values.of((day, currency))) for day, currency in days]


Expired = tuple[date, str, int, Decimal | None]  # the local day, the currency, the total uses, the value


def _expired(period: Period, now: datetime) -> Iterator[Expired]:
    """What to add up, of vouchers that were paid for: of the roll-up, of what changed since, and of today."""
    coverage, today = coverage_of(ALL_DAYS), timezone.localdate(now)
    sold = Voucher.objects.filter(batch=None)
    if coverage.since is None:
        yield from _expired_rows(sold, period.start, period.end, now)
        return
    closed = Period(period.first, min(period.last, today - timedelta(days=1)))
    if closed.length > 0:
        sums = UnusedValue.objects.filter(
            is_sold=True, expires_on__gte=closed.first, expires_on__lte=closed.last
        )
        yield from _summed(sums, F("expires_on"), Sum("value"), sign=1)
        changed = sold.filter(pk__in=changed_vouchers(coverage.since, now, issued_in=coverage.live_ranges))
        noted = changed.filter(
            counted__status__in=WITH_VALUE,
            counted__expires_on__gte=closed.first,
            counted__expires_on__lte=closed.last,
        )
        counted = Sum(F("face_value") * F("counted__uses_remaining"))
        yield from _summed(noted, F("counted__expires_on"), counted, sign=-1)
        yield from _expired_rows(changed, closed.start, closed.end, now)
    if period.first <= today <= period.last:
        yield from _expired_rows(sold, start_of(today), start_of(today + timedelta(days=1)), now)


def _expired_rows(
    vouchers: QuerySet[Voucher], start: datetime, end: datetime, now: datetime
) -> Iterator[Expired]:
    expired = vouchers.filter(HAS_VALUE, expiry_date__gte=start, expiry_date__lt=end, expiry_date__lte=now)
    value = Sum(F("face_value") * F("uses_remaining"))
    yield from _summed(expired, local_day("expiry_date"), value, sign=1)


def _summed(rows: QuerySet[Any], day: F | TruncDate, value: Sum, *, sign: int) -> Iterator[Expired]:
    days = rows.order_by().annotate(on_day=day)
    sums = days.values_list("on_day", "currency", "total_uses").annotate(sum=value)
    for on_day, currency, total_uses, amount in sums:
        yield on_day, currency, total_uses, sign * cents(amount)
