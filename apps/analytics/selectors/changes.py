"""What changed since the roll-up noted how it had counted it: vouchers, and what went back of sales.

A change is looked up by the moment that stands on what caused it. More rows than changed do no harm, as each is
compared with the note; so those that wrote the roll-up reach back by a margin (services/daily_figures).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Sum, Value, When

from apps.analytics.models import CountedReturn, ReturnKind
from apps.analytics.periods import ALL_DAYS
from apps.payments.models import Dispute, Refund, Transaction
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.states import NO_CHANGE, VoucherEventKind, VoucherStatus, status_condition

from .coverage import Coverage
from .metrics import Row, cents
from .named_rows import NamedIds
from .rows import AnyRanges, Books, Moment, Ranges, annotated, local_day, within


def changed_vouchers(since: Moment, now: Moment, *, issued_in: Ranges = ()) -> QuerySet[Any, Any]:
    """The ids of all vouchers that were issued, used, held or otherwise changed since, or expired until `now`.

    And of those that were issued in these ranges.
    """
    new = [(since, ALL_DAYS.end)]  # with an end, as PostgreSQL expects less of a range that has one
    issued = Voucher.objects.filter(within("purchase_date", [*new, *issued_in])).order_by()
    expired = Voucher.objects.filter(expiry_date__gte=since, expiry_date__lte=now).order_by()
    events = VoucherEvent.objects.filter(~Q(kind__in=NO_CHANGE), within("at", new)).order_by()
    return issued.values_list("pk").union(
        VoucherUsage.objects.filter(within("used_at", new)).order_by().values_list("voucher_id"),
        UsageReversal.objects.filter(within("reversed_at", new)).order_by().values_list("usage__voucher_id"),
        events.values_list("voucher_id"),
        expired.values_list("pk"),
    )


def reassigned_owners(since: datetime) -> set[int]:
    """The ids of all owners who gave or got vouchers since, by the history of these."""
    events = VoucherEvent.objects.filter(
        ~Q(kind__in=NO_CHANGE), kind=VoucherEventKind.REASSIGNED, at__gte=since
    )
    pairs = events.order_by().values_list("details__from", "details__to").distinct()
    return {owner for pair in pairs for owner in pair}


def status_now(now: Moment) -> Case:
    """The status of a voucher as a column."""
    return Case(
        *(When(status_condition(status, now), then=Value(status.value)) for status in VoucherStatus),
        output_field=CharField(),
    )


def voucher_differences(books: Books, ranges: AnyRanges, since: Moment, now: Moment) -> QuerySet[Any, Any]:
    """What has to be added to the roll-up's figures of the days of issue in the ranges."""
    changed = NamedIds(changed_vouchers(since, now))
    vouchers = books.narrowed(books.vouchers.filter(pk__in=changed), "purchase_date", ranges)
    is_new = Q(counted__isnull=True)
    by_status = {
        f"vouchers_{status}": Count("pk", filter=status_condition(status, now))
        - Count("pk", filter=Q(counted__status=status.value))
        for status in VoucherStatus
    }
    return annotated(
        books.by_day(vouchers, "purchase_date", ""),
        vouchers_issued=Count("pk", filter=is_new),
        vouchers_free=Count("pk", filter=is_new & Q(batch__isnull=False)),
        vouchers_redeemed=Count("pk", filter=Q(uses_remaining__lt=F("total_uses")))
        - Count("pk", filter=Q(counted__uses_remaining__lt=F("total_uses"))),
        **by_status,
    )


def changed_returns(since: datetime) -> set[int]:
    """The ids of all transactions with a refund or dispute that changed since."""
    refunds = Refund.objects.filter(updated_at__gte=since).order_by().values_list("transaction_id")
    disputes = Dispute.objects.filter(updated_at__gte=since).order_by().values_list("transaction_id")
    return {pk for (pk,) in refunds.union(disputes)}


def figures_of_return(kind: str, amount: Decimal, goodwill: Decimal) -> Row:
    """The figures in which something stands that went back."""
    if kind == ReturnKind.OF_SALE:
        return {"refunded": amount, "goodwill": goodwill}
    return {"refunds_paid" if kind == ReturnKind.REFUND else "disputes_lost": amount}


@dataclass(frozen=True)
class Return:
    """What went back of a transaction, on a day, in one of the ways of ReturnKind."""

    transaction_id: int
    kind: ReturnKind
    day: date
    amount: Decimal
    goodwill: Decimal = Decimal("0.00")

    @property
    def figures(self) -> Row:
        """The figures of its day in which it stands."""
        return figures_of_return(self.kind, self.amount, self.goodwill)

    @property
    def negative(self) -> "Return":
        """The same, to take it from a sum."""
        return Return(self.transaction_id, self.kind, self.day, -self.amount, -self.goodwill)


def returns_of(transactions: Iterable[int]) -> list[Return]:
    """What went back of these transactions, as the rows say now."""
    ids = list(transactions)
    return _returns(Q(pk__in=ids), Q(transaction__in=ids), Q(transaction__in=ids))


def returns_in(ranges: Ranges) -> list[Return]:
    """What went back of the sales in the ranges, and what went back in the ranges, as the rows say now."""
    return _returns(
        within("completed_at", ranges), within("finished_at", ranges), within("closed_at", ranges)
    )


def _returns(of_sales: Q, of_refunds: Q, of_disputes: Q) -> list[Return]:
    books = Books()
    paid = books.transactions.filter(of_sales, Q(amount_refunded__gt=0) | Q(amount_goodwill__gt=0))
    columns = ("pk", local_day("completed_at"), "amount_refunded", "amount_goodwill")
    returns = [
        Return(pk, ReturnKind.OF_SALE, day, back, goodwill)
        for pk, day, back, goodwill in paid.values_list(*columns)
    ]
    for kind, ended, moment in (
        (ReturnKind.REFUND, books.refunds.filter(of_refunds), "finished_at"),
        (ReturnKind.DISPUTE, books.disputes.filter(of_disputes), "closed_at"),
    ):
        sums = ended.values_list("transaction_id", local_day(moment)).annotate(sum=Sum("amount"))
        returns += [Return(pk, kind, day, cents(amount)) for pk, day, amount in sums]
    return returns


def counted_returns(transactions: Iterable[int]) -> list[Return]:
    """What went back of these transactions, as the roll-up counted it."""
    return _noted(CountedReturn.objects.filter(transaction__in=list(transactions)))


def all_counted_returns() -> list[Return]:
    """All that the roll-up counted of what went back."""
    return _noted(CountedReturn.objects.all())


def _noted(rows: QuerySet[CountedReturn]) -> list[Return]:
    columns = rows.values_list("transaction_id", "kind", "day", "amount", "goodwill")
    return [
        Return(pk, ReturnKind(kind), day, amount, goodwill) for pk, kind, day, amount, goodwill in columns
    ]


def return_differences(books: Books, coverage: Coverage) -> Iterator[Row]:
    """What has to be added to the roll-up's figures of the days that are counted, for what went back."""
    ids = changed_returns(coverage.since) if coverage.since else set()
    if not ids:
        return
    transactions = books.of(Transaction.objects.filter(pk__in=ids), "user")
    of = {
        row.pop("pk"): row
        for row in transactions.values("pk", "currency", *books.owner_key, type_id=F("voucher_type_id"))
    }
    for each in (*returns_of(of), *(each.negative for each in counted_returns(of))):
        if coverage.has(each.day) and (books.of_platform or each.kind == ReturnKind.OF_SALE):
            yield {"day": each.day, **of[each.transaction_id], **each.figures}
