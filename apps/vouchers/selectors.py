"""Reads of voucher types, vouchers and their uses."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import (
    BigAutoField,
    Count,
    DateField,
    DateTimeField,
    Exists,
    F,
    OuterRef,
    QuerySet,
    Sum,
)

from apps.core.prepared_queries import PreparedQuery, PreparedRangeQuery
from apps.users.models import User
from apps.users.permissions import has_staff_permission

from . import codes
from .errors import VoucherNotFound
from .models import (
    VIEW_VOUCHERS,
    Batch,
    RefusalCount,
    UsageReversal,
    Voucher,
    VoucherEvent,
    VoucherType,
    VoucherUsage,
)
from .states import RefusalReason, VoucherEventKind, VoucherStatus, status_condition

MAX_USES_SHOWN: Final = 1000


def types_on_sale() -> QuerySet[VoucherType]:
    """The types that can be bought, by name."""
    return VoucherType.objects.on_sale().order_by("name", "id")


def vouchers_of(user: User) -> QuerySet[Voucher]:
    """The user's vouchers with their types, newest first."""
    return Voucher.objects.owned_by(user).select_related("voucher_type").order_by("-purchase_date", "-id")


def voucher_seen_by(user: User, *, code: str) -> Voucher:
    """A voucher with its type, for its owner and staff who may view vouchers; raises VoucherNotFound for anyone else.

    A malformed code is a voucher that isn't there.
    """
    return _seen_by(user, Voucher.objects.select_related("voucher_type"), code)


def history_of_vouchers_of(user: User) -> QuerySet[VoucherEvent]:
    """What happened to the user's vouchers, one after the other, with voucher and actor."""
    events = VoucherEvent.objects.filter(voucher__user=user).select_related("voucher", "actor")
    return events.order_by("voucher_id", "id")


def _seen_by(user: User, vouchers: QuerySet[Voucher], code: str) -> Voucher:
    try:
        symbols = codes.parse(code)
    except codes.CodeMalformed as error:
        raise VoucherNotFound from error
    if not has_staff_permission(user, VIEW_VOUCHERS):
        vouchers = vouchers.filter(user=user)
    voucher = vouchers.filter(code=symbols).first()
    if voucher is None:
        raise VoucherNotFound
    return voucher


def usages_by(user: User) -> QuerySet[VoucherUsage]:
    """The user's redemptions, newest first, with voucher and type.

    `reissued` tells that the voucher has got a new code at some time: who used the old one does not see it.
    """
    reissued = VoucherEvent.objects.filter(voucher=OuterRef("voucher"), kind=VoucherEventKind.REISSUED)
    return (
        VoucherUsage.objects.filter(user=user)
        .select_related("voucher__voucher_type")
        .annotate(reissued=Exists(reissued))
        .order_by("-used_at", "-id")
    )


def without_reversed(usages: QuerySet[VoucherUsage]) -> QuerySet[VoucherUsage]:
    """Those of the uses that were not given back.

    As NOT EXISTS: of the LEFT JOIN of `reversal=None` PostgreSQL expects one row, and reads them all to get the last
    ten.
    """
    return usages.filter(~Exists(UsageReversal.objects.filter(usage=OuterRef("pk"))))


def batches_of(user: User) -> QuerySet[Batch]:
    """What was issued to the user in bulk, newest first."""
    return Batch.objects.filter(owner=user).order_by("-created_at", "-id")


@dataclass(frozen=True)
class BatchCounts:
    """The vouchers of a batch: all that were issued, and of these how many are in each status."""

    issued: int = 0
    active: int = 0
    used: int = 0
    expired: int = 0
    inactive: int = 0


def batch_counts(batch_ids: Collection[int], *, now: datetime) -> dict[int, BatchCounts]:
    """The counts of these batches at `now`, in one query."""
    by_status = {status.value: Count("pk", filter=status_condition(status, now)) for status in VoucherStatus}
    rows = (
        Voucher.objects.filter(batch_id__in=batch_ids)
        .order_by()
        .values("batch_id")
        .annotate(issued=Count("pk"), **by_status)
    )
    names = [field.name for field in fields(BatchCounts)]
    counts = {
        row["batch_id"]: BatchCounts(**{name: row[name] for name in names})  # type: ignore[literal-required]
        for row in rows
    }
    return {batch_id: counts.get(batch_id, BatchCounts()) for batch_id in batch_ids}


@dataclass(frozen=True)
class CurrencyValue:
    """What vouchers in one currency were worth when they were sold."""

    currency: str
    total_value: Decimal


@dataclass(frozen=True)
class Statistics:
    """A user's vouchers, counted; `total_value` is in `currency`, other currencies stand beside it."""

    total_vouchers: int
    active_vouchers: int
    used_vouchers: int
    expired_vouchers: int
    inactive_vouchers: int
    total_redemptions: int
    total_value: Decimal
    currency: str
    other_currencies: list[CurrencyValue]


def statistics_of(user: User, *, now: datetime, currency: str) -> Statistics:
    """The user's vouchers counted by their status at `now`, in one query."""
    rows = _STATISTICS.rows(owner=user.pk, now=now)
    active, used, expired, inactive, number, uses = (sum(row[place] for row in rows) for place in range(2, 8))
    values = {row[0]: row[1] for row in rows}
    return Statistics(
        total_vouchers=number,
        active_vouchers=active,
        used_vouchers=used,
        expired_vouchers=expired,
        inactive_vouchers=inactive,
        total_redemptions=uses,
        total_value=values.pop(currency, Decimal(0)),
        currency=currency,
        other_currencies=[CurrencyValue(*item) for item in values.items()],
    )


def _statistics(owner: Any, now: Any) -> QuerySet[Voucher, tuple[Any, ...]]:
    """A row for each currency: it, the value, the number of each status, of all, and of uses made."""
    return (
        Voucher.objects.owned_by(owner)
        .order_by("currency")
        .values_list("currency")
        .annotate(
            value=Sum("face_value"),
            active=Count("pk", filter=status_condition(VoucherStatus.ACTIVE, now)),
            used=Count("pk", filter=status_condition(VoucherStatus.USED, now)),
            expired=Count("pk", filter=status_condition(VoucherStatus.EXPIRED, now)),
            inactive=Count("pk", filter=status_condition(VoucherStatus.INACTIVE, now)),
            number=Count("pk"),
            uses=Sum(F("total_uses") - F("uses_remaining")),
        )
    )


# Of whom many are, PostgreSQL reads them in another way than the few of most people.
_STATISTICS: Final = PreparedRangeQuery(
    lambda *columns: columns, _statistics, owner=BigAutoField(), now=DateTimeField()
)


@dataclass(frozen=True)
class Refusals:
    """How many redemptions of a service were refused for a reason (RefusalReason, or the code of an answer)."""

    service_type: str
    reason: str
    number: int

    @property
    def reason_name(self) -> str:
        """The reason in words."""
        return RefusalReason.name_of(self.reason)


def refusals_on(first: date, last: date) -> list[Refusals]:
    """Refused redemptions on the local days from the first to the last, most frequent first. One query.

    What was refused in the last seconds may lack: see services.refusals. Days before KEEP_REFUSALS have none.
    """
    rows = _REFUSALS.rows(first=first, last=last)
    return sorted(rows, key=lambda row: (-row.number, row.reason, row.service_type))


_REFUSALS: Final = PreparedQuery(
    Refusals,
    lambda first, last: (
        RefusalCount.objects.filter(day__gte=first, day__lte=last)
        .order_by()
        .values_list("service_type", "reason")
        .annotate(total=Sum("number"))
    ),
    first=DateField(),
    last=DateField(),
)
