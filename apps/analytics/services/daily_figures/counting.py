"""Figures of days as the roll-up is to have them: facts until a moment, and what may change as it was noted."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, Final

from django.db import connection
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.timezone import localdate

from apps.analytics.models import (
    CountedOwner,
    CountedReturn,
    CountedVoucher,
    DailyFigures,
    OwnerDailyFigures,
    UnusedValue,
)
from apps.analytics.periods import ALL_DAYS
from apps.analytics.selectors import changes, rows
from apps.analytics.selectors.changes import figures_of_return
from apps.analytics.selectors.metrics import NAMES, Row, cents
from apps.analytics.selectors.obligations import WITH_VALUE
from apps.analytics.selectors.rows import Books, Ranges, flag, local_day, within
from apps.vouchers.models import Voucher
from apps.vouchers.states import VoucherStatus

from .voucher_notes import UnusedKey

Key = tuple[int | None, date, int, str]  # the owner or None for the platform, the day, the type, the currency
CHUNK: Final = 500  # rows of an INSERT


class Sums:
    """Figures by owner, day, type and currency, to be written."""

    def __init__(self, figures: Iterable[Row] = ()) -> None:
        self.by_key: dict[Key, dict[str, Any]] = {}
        for row in figures:
            self.add(row)

    def add(self, row: Row) -> None:
        """Add the figures of a row to those of its owner, day, type and currency."""
        key = (row.get("owner_id"), row["day"], row["type_id"], row["currency"])
        sums = self.by_key.setdefault(key, {})
        for name in row.keys() & _NAMES:
            if row[name]:
                sums[name] = sums[name] + row[name] if name in sums else row[name]

    def insert(self) -> None:
        """Write them where there are none yet."""
        for model, instances in self._instances():
            model.objects.bulk_create(instances, batch_size=CHUNK)

    def add_to_the_roll_up(self) -> None:
        """Write them on top of what the roll-up has."""
        days = {day for _, day, _, _ in self.by_key}
        owners = {owner for owner, *_ in self.by_key if owner is not None}
        before: list[Any] = [*DailyFigures.objects.filter(day__in=days)]
        if owners:
            before += OwnerDailyFigures.objects.filter(owner__in=owners, day__in=days)
        for old in before:
            owner = getattr(old, "owner_id", None)
            sums = self.by_key.get((owner, old.day_id, old.voucher_type_id, old.currency))
            if sums is not None:
                for name in NAMES:
                    sums[name] = sums[name] + getattr(old, name) if name in sums else getattr(old, name)
        for model, instances in self._instances():
            key = ("day", "voucher_type", "currency")
            model.objects.bulk_create(
                instances,
                batch_size=CHUNK,
                update_conflicts=True,
                unique_fields=("owner", *key) if model is OwnerDailyFigures else key,
                update_fields=NAMES,
            )

    def _instances(self) -> Iterable[tuple[Any, list[Any]]]:
        platform, owners = [], []
        for (owner, day, type_id, currency), sums in self.by_key.items():
            fields = {"day_id": day, "voucher_type_id": type_id, "currency": currency, **sums}
            if owner is None:
                platform.append(DailyFigures(**fields))
            else:
                owners.append(OwnerDailyFigures(owner_id=owner, **fields))
        return [(DailyFigures, platform), (OwnerDailyFigures, owners)]


_NAMES = frozenset(NAMES)


def all_books() -> list[Books]:
    """The books of the platform, and those of the owners that are counted apart, if there are any."""
    owners = CountedOwner.objects.order_by()
    return [Books(), Books(by_owner=owners.values("owner"))] if owners.exists() else [Books()]


def figures_until(books: Books, ranges: Ranges, until: datetime) -> list[Row]:
    """The figures of the days in the ranges as the roll-up has them, from the rows and the notes."""
    counted = [(start, min(end, until)) for start, end in ranges if start < until]
    figures = [*_issued(books, ranges), *_returned(books, ranges)]
    if counted:
        figures += rows.read(
            rows.sales(books, counted, with_returns=False),
            rows.uses(books, counted, but_reversed=False),
            rows.reversals(books, counted),
        )
    return figures + rows.read(rows.reversed_uses(books, [(ALL_DAYS.start, until)], ranges))


def note_vouchers(ranges: Ranges, now: datetime) -> None:
    """Note how each voucher issued in the ranges is at `now`, and bring UnusedValue in line with the notes."""
    vouchers = Voucher.objects.filter(within("purchase_date", ranges)).order_by()
    before = _unused(vouchers)
    CountedVoucher.objects.filter(voucher__in=vouchers.values("pk")).delete()
    columns = ("pk", changes.status_now(now), "uses_remaining", local_day("expiry_date"))
    sql, parameters = vouchers.values_list(*columns).query.sql_with_params()
    table = connection.ops.quote_name(CountedVoucher._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (voucher_id, status, uses_remaining, expires_on) {sql}",
            parameters,
        )
    after = _unused(vouchers)
    for key, value in before.items():
        after[key] = after.get(key, Decimal(0)) - value
    add_unused(after)


def note_returns(days: Iterable[date], returned: Iterable[changes.Return]) -> None:
    """Note that this, and nothing else, went back on these days."""
    CountedReturn.objects.filter(day__in=list(days)).delete()
    insert_returns(returned)


def insert_returns(returned: Iterable[changes.Return]) -> None:
    """Note that this went back."""
    CountedReturn.objects.bulk_create((CountedReturn(**vars(each)) for each in returned), batch_size=CHUNK)


def add_unused(values: Mapping[UnusedKey, Decimal]) -> None:
    """Add to UnusedValue."""
    changed = {key: value for key, value in values.items() if value}
    for old in UnusedValue.objects.filter(expires_on__in={key[0] for key in changed}):
        key = (old.expires_on, old.voucher_type_id, old.currency, old.total_uses, old.is_sold)
        if key in changed:
            changed[key] += old.value
    names = ("expires_on", "voucher_type", "currency", "total_uses", "is_sold")
    UnusedValue.objects.bulk_create(
        (
            UnusedValue(
                expires_on=expires_on,
                voucher_type_id=type_id,
                currency=currency,
                total_uses=total_uses,
                is_sold=is_sold,
                value=value,
            )
            for (expires_on, type_id, currency, total_uses, is_sold), value in changed.items()
        ),
        batch_size=CHUNK,
        update_conflicts=True,
        unique_fields=names,
        update_fields=("value",),
    )


def recount_unused() -> None:
    """Sum UnusedValue up anew from the notes."""
    UnusedValue.objects.all().delete()
    add_unused(_unused(Voucher.objects.order_by()))


def _unused(vouchers: QuerySet[Voucher]) -> dict[UnusedKey, Decimal]:
    """The worth of the unused uses of these vouchers, as they were noted."""
    noted = vouchers.filter(counted__status__in=WITH_VALUE, counted__uses_remaining__gt=0)
    keys = noted.values_list(
        "counted__expires_on", "voucher_type_id", "currency", "total_uses", flag(Q(batch__isnull=True))
    )
    sums = keys.annotate(sum=Sum(F("face_value") * F("counted__uses_remaining")))
    return {tuple(key): cents(value) for *key, value in sums}


def _issued(books: Books, ranges: Ranges) -> list[Row]:
    """Vouchers on the day of their issue, as they were noted."""
    noted = books.vouchers.filter(within("purchase_date", ranges), counted__isnull=False)
    by_status = {
        f"vouchers_{status}": Count("pk", filter=Q(counted__status=status)) for status in VoucherStatus
    }
    return list(
        books.by_day(noted, "purchase_date", "").annotate(
            vouchers_issued=Count("pk"),
            vouchers_free=Count("pk", filter=Q(batch__isnull=False)),
            vouchers_redeemed=Count("pk", filter=Q(counted__uses_remaining__lt=F("total_uses"))),
            **by_status,
        )
    )


def _returned(books: Books, ranges: Ranges) -> list[Row]:
    """What went back, as it was noted."""
    days = reduce(or_, (Q(day__gte=localdate(start), day__lt=localdate(end)) for start, end in ranges))
    noted = books.of(CountedReturn.objects.filter(days), "transaction__user")
    sums = noted.values(
        *books.owner_key,
        "day",
        "kind",
        type_id=F("transaction__voucher_type_id"),
        currency=F("transaction__currency"),
    ).annotate(sum=Sum("amount"), sum_goodwill=Sum("goodwill"))
    return [
        {
            **{name: row[name] for name in (*books.owner_key, "day", "type_id", "currency")},
            **figures_of_return(row["kind"], cents(row["sum"]), cents(row["sum_goodwill"])),
        }
        for row in sums
    ]
