"""Figures counted from the rows of vouchers and payments, by local day, voucher type and currency.

Each function takes the Books to count in, and the ranges of time in which the moment that it goes by must lie, and
returns a queryset of figures by name; `read` reads such querysets. A range may have Parameters of a PreparedQuery in
the place of moments, and so may Books in the place of an owner: what visits read is compiled once (live.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection
from django.db.models import (
    Aggregate,
    Count,
    DurationField,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import TruncDate
from django.utils import timezone

from apps.core.prepared_queries import Parameter
from apps.payments.models import Dispute, DisputeOutcome, Refund, RefundStatus, Transaction
from apps.users.models import User
from apps.vouchers.models import UsageReversal, Voucher, VoucherUsage
from apps.vouchers.states import VoucherStatus, status_condition

from .metrics import MONEY, Row, cents
from .named_rows import NamedIds, unindexed

Moment = datetime | Parameter
Ranges = Sequence[tuple[datetime, datetime]]  # each from its first moment up to, but without, its second
AnyRanges = Sequence[tuple[Moment, Moment]]


@dataclass(frozen=True)
class Books:
    """The rows of one owner, or of the platform if it is None. `by_owner`: figures of each of these owners apart.

    `brief` leaves out the figures that are counted for the platform alone. `by_ids`: the rows of a range are looked up
    by their ids, which is best where it is short, whatever PostgreSQL expects of it.
    """

    owner: User | Parameter | None = None
    by_owner: QuerySet[Any, Any] | None = None
    brief: bool = False
    by_ids: bool = False

    @property
    def transactions(self) -> QuerySet[Transaction]:
        return self.of(Transaction.objects.paid(), "user")

    @property
    def vouchers(self) -> QuerySet[Voucher]:
        return self.of(Voucher.objects.all(), "user")

    @property
    def usages(self) -> QuerySet[VoucherUsage]:
        return self.of(VoucherUsage.objects.all(), "voucher__user")

    @property
    def reversals(self) -> QuerySet[UsageReversal]:
        return self.of(UsageReversal.objects.all(), "usage__voucher__user")

    @property
    def refunds(self) -> QuerySet[Refund]:
        """Refunds that were paid."""
        return self.of(Refund.objects.filter(status=RefundStatus.SUCCEEDED), "transaction__user")

    @property
    def disputes(self) -> QuerySet[Dispute]:
        """Disputes that were lost."""
        return self.of(Dispute.objects.filter(outcome=DisputeOutcome.LOST), "transaction__user")

    def of(self, rows: QuerySet[Any], user: str) -> QuerySet[Any]:
        """Those of the rows that are in the books; `user` is the path to whose they are."""
        if self.owner is not None and self.by_ids:
            rows = rows.alias(whose=unindexed(f"{user}_id")).filter(whose=self.owner)
        elif self.owner is not None:
            rows = rows.filter(**{user: self.owner})
        if self.by_owner is not None:
            rows = rows.filter(**{f"{user}__in": self.by_owner}).annotate(owner_id=F(f"{user}_id"))
        return rows.order_by()

    def within(self, rows: QuerySet[Any], moment: str, ranges: AnyRanges) -> QuerySet[Any]:
        """Those of the rows whose moment lies in one of the ranges."""
        if not self.by_ids:
            return rows.filter(within(moment, ranges))
        ids = rows.model._default_manager.filter(within(moment, ranges)).order_by().values("pk")
        return rows.filter(pk__in=NamedIds(ids))

    def narrowed(self, rows: QuerySet[Any], moment: str, ranges: AnyRanges) -> QuerySet[Any]:
        """Those of rows that were narrowed otherwise whose moment lies in one of the ranges."""
        if not self.by_ids:
            return rows.filter(within(moment, ranges))
        narrowed: QuerySet[Any] = rows.alias(moment=unindexed(moment)).filter(within("moment", ranges))
        return narrowed

    @property
    def of_platform(self) -> bool:
        """Whether they are those of the platform, of which more figures are counted."""
        return self.owner is None and self.by_owner is None and not self.brief

    @property
    def owner_key(self) -> tuple[str, ...]:
        """The key by which owners are told apart, if they are."""
        return ("owner_id",) if self.by_owner is not None else ()

    def by_day(self, rows: QuerySet[Any], moment: str, path: str) -> QuerySet[Any, Any]:
        """The rows by the local day of `moment`; type and currency stand at the end of `path`."""
        return rows.values(
            *self.owner_key,
            day=local_day(moment),
            type_id=F(f"{path}voucher_type_id"),
            **({"currency": F(f"{path}currency")} if path else {}),
        ).values(*self.owner_key, "day", "type_id", "currency")


def annotated(rows: QuerySet[Any, Any], **figures: Any) -> QuerySet[Any, Any]:
    """The rows with these figures."""
    annotated_rows: QuerySet[Any, Any] = rows.annotate(**figures)
    return annotated_rows


def read(*querysets: QuerySet[Any, Any]) -> list[Row]:
    """The rows of all these, with money to the cent."""
    return [with_cents(row) for rows in querysets for row in rows]


def row_of(keys: Sequence[str]) -> Callable[..., Row]:
    """What makes a row of columns with these names, without what is nothing: most figures of a day and type are.

    Money is to the cent, as PostgreSQL's sums are.
    """

    def row(*columns: Any) -> Row:
        return {key: value for key, value in zip(keys, columns, strict=True) if value}

    if connection.vendor == "postgresql":
        return row
    return lambda *columns: with_cents(row(*columns))


def with_cents(row: Row) -> Row:
    """Figures with money to the cent."""
    return {name: cents(value) if name in MONEY else value for name, value in row.items()}


def flag(condition: Q) -> Any:
    """A condition as a column of `values_list`, which takes one though its types do not say so."""
    return condition


def aggregate_subquery(rows: QuerySet[Any], function: Aggregate) -> Subquery:
    """An aggregate over all of the rows as a column of another query."""
    return Subquery(rows.order_by().values(all=Value(1)).annotate(value=function).values("value"))


def local_day(moment: str) -> TruncDate:
    """The day of a moment in the project's time zone."""
    return TruncDate(moment, tzinfo=timezone.get_default_timezone())


def within(moment: str, ranges: AnyRanges) -> Q:
    """That the moment lies in one of the ranges, of which there is one at least."""
    return reduce(or_, (Q(**{f"{moment}__gte": start, f"{moment}__lt": end}) for start, end in ranges))


def sales(books: Books, ranges: AnyRanges, *, with_returns: bool) -> QuerySet[Any, Any]:
    """Purchases and revenue, and if `with_returns` what went back of them, on the day of the purchase."""
    rows = books.by_day(books.within(books.transactions, "completed_at", ranges), "completed_at", "")
    sums = {"revenue": Sum("amount")}
    if with_returns:
        sums |= {"refunded": Sum("amount_refunded"), "goodwill": Sum("amount_goodwill")}
    return annotated(rows, purchases=Count("pk"), **sums)


def refunds_paid(books: Books, ranges: AnyRanges) -> QuerySet[Any, Any]:
    """What was refunded, on the day when it was."""
    rows = books.by_day(books.refunds.filter(within("finished_at", ranges)), "finished_at", "transaction__")
    return annotated(rows, refunds_paid=Sum("amount"))


def disputes_lost(books: Books, ranges: AnyRanges) -> QuerySet[Any, Any]:
    """What banks took back, on the day when the dispute was lost."""
    rows = books.by_day(books.disputes.filter(within("closed_at", ranges)), "closed_at", "transaction__")
    return annotated(rows, disputes_lost=Sum("amount"))


def issued(books: Books, ranges: AnyRanges, now: Moment) -> QuerySet[Any, Any]:
    """Vouchers on the day of their issue, with what became of them until `now`."""
    by_status = {
        f"vouchers_{status}": Count("pk", filter=status_condition(status, now)) for status in VoucherStatus
    }
    rows = books.by_day(books.vouchers.filter(within("purchase_date", ranges)), "purchase_date", "")
    return annotated(
        rows,
        vouchers_issued=Count("pk"),
        vouchers_free=Count("pk", filter=Q(batch__isnull=False)),
        vouchers_redeemed=Count("pk", filter=Q(uses_remaining__lt=F("total_uses"))),
        **by_status,
    )


def uses(books: Books, ranges: AnyRanges, *, but_reversed: bool) -> QuerySet[Any, Any]:
    """Redemptions on their day; those that were reversed since left out if `but_reversed`."""
    # Not by their ids: a use and its voucher are two look-ups, and these would be a third.
    rows = books.usages.filter(within("used_at", ranges))
    if but_reversed:
        rows = rows.filter(~Exists(UsageReversal.objects.filter(usage=OuterRef("pk"))))
    first = Q(use_no=1)
    return annotated(
        books.by_day(rows, "used_at", "voucher__"),
        redemptions=Count("pk"),
        first_uses=Count("pk", filter=first),
        first_use_time=Sum(
            F("used_at") - F("voucher__purchase_date"), filter=first, output_field=DurationField()
        ),
    )


def reversals(books: Books, ranges: AnyRanges) -> QuerySet[Any, Any]:
    """Reversals on the day when they were made."""
    rows = books.within(books.reversals, "reversed_at", ranges)
    return annotated(books.by_day(rows, "reversed_at", "usage__voucher__"), reversals=Count("pk"))


def reversed_uses(books: Books, ranges: AnyRanges, use_ranges: AnyRanges) -> QuerySet[Any, Any]:
    """The uses that were given back in the ranges, as what they take from the figures of the day of the use."""
    rows = books.within(books.reversals, "reversed_at", ranges)
    rows = books.narrowed(rows, "usage__used_at", use_ranges)
    first = Q(usage__use_no=1)
    return annotated(
        books.by_day(rows, "usage__used_at", "usage__voucher__"),
        redemptions=-Count("pk"),
        first_uses=-Count("pk", filter=first),
        first_use_time=Sum(
            F("usage__voucher__purchase_date") - F("usage__used_at"),
            filter=first,
            output_field=DurationField(),
        ),
    )


def all_figures(books: Books, ranges: AnyRanges, now: Moment) -> list[QuerySet[Any, Any]]:
    """Every figure of the days in the ranges, from nothing but the rows.

    Those in OF_PLATFORM are left out for one owner.
    """
    if not ranges:
        return []
    figures = [
        sales(books, ranges, with_returns=True),
        issued(books, ranges, now),
        uses(books, ranges, but_reversed=True),
    ]
    if books.of_platform:
        figures += [refunds_paid(books, ranges), disputes_lost(books, ranges), reversals(books, ranges)]
    return figures
