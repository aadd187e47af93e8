"""Reads of transactions."""

from datetime import datetime
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from apps.users.models import User
from apps.vouchers.states import Hold

from .errors import NotPaid, TransactionNotFound
from .models import (
    Dispute,
    DisputeOutcome,
    Receipt,
    Refund,
    RefundOrigin,
    RefundStatus,
    SoldVoucher,
    Transaction,
    TransactionStatus,
)

Sale = tuple[datetime, int]  # the place of a paid transaction: when it was completed, and its number


def transactions_of(user: User) -> QuerySet[Transaction]:
    """The user's transactions with their types and receipts, newest first."""
    mine = Transaction.objects.owned_by(user).select_related("voucher_type", "receipt")
    return mine.order_by("-created_at", "-id")


def paid_transaction(transaction_id: int, *, among: QuerySet[Transaction]) -> Transaction:
    """One paid transaction with its buyer and receipt, of those that the caller may see.

    Raises TransactionNotFound, also where it is not `among` them, and NotPaid.
    """
    transaction = among.select_related("voucher_type", "user", "receipt").filter(pk=transaction_id).first()
    if transaction is None:
        raise TransactionNotFound
    if not transaction.is_paid:
        raise NotPaid
    return transaction


def returned_until(paid: Transaction) -> datetime | None:
    """When money of a transaction went back last, by a refund or a dispute; None if none did. Two queries."""
    refunded = paid.refunds.filter(status=RefundStatus.SUCCEEDED).aggregate(last=Max("finished_at"))
    lost = paid.disputes.filter(outcome=DisputeOutcome.LOST).aggregate(last=Max("closed_at"))
    return max(filter(None, (refunded["last"], lost["last"])), default=None)


def without_receipt(
    *, since: datetime | None = None, after: Sale | None = None, until: Sale | None = None
) -> QuerySet[Transaction]:
    """Paid transactions without a receipt, with their types, in the order of completion and number.

    Completed at or after `since`; of those what comes after the sale `after`, up to and with the sale `until`.
    """
    lacking = _paid_from(since, after).filter(~Exists(Receipt.objects.filter(transaction=OuterRef("pk"))))
    if until is not None:
        at, number = until
        lacking = lacking.filter(
            Q(completed_at__lt=at) | Q(completed_at=at, pk__lte=number), completed_at__lte=at
        )
    return lacking.select_related("voucher_type").order_by("completed_at", "pk")


def paid_after(number: int, *, since: datetime | None = None, after: Sale | None = None) -> Sale | None:
    """The sale that comes so many after `after`, or after the first at or after `since`; None if there are fewer."""
    sales = _paid_from(since, after).order_by("completed_at", "pk")
    places: QuerySet[Transaction, Any] = sales.values_list("completed_at", "pk")
    place: Sale | None = places[number : number + 1].first()
    return place


def _paid_from(since: datetime | None, after: Sale | None) -> QuerySet[Transaction]:
    """Paid transactions that were completed at or after `since`, and come after the sale `after`."""
    paid = Transaction.objects.paid()
    if since is not None:
        paid = paid.filter(completed_at__gte=since)
    if after is not None:
        at, number = after
        # The last condition is one that the index of completion knows.
        paid = paid.filter(Q(completed_at__gt=at) | Q(completed_at=at, pk__gt=number), completed_at__gte=at)
    return paid


def refunds_of(user: User) -> QuerySet[Refund]:
    """The refunds of the user's payments, whoever requested them, with their vouchers, newest first."""
    refunds = Refund.objects.filter(transaction__user=user).select_related("transaction")
    return refunds.prefetch_related("lines__voucher").order_by("-created_at", "-id")


def unrefunded_of_closed_accounts() -> QuerySet[Transaction]:
    """Payments that arrived after their account was closed or deactivated, and whose refund came to nothing.

    Staff have to see to them. Not those of accounts that are open again, those in dispute, and those whose vouchers are
    all void: staff void them when they have paid the buyer back another way.
    """
    refunds = Refund.objects.filter(transaction=OuterRef("pk"))
    ended = refunds.filter(
        origin=RefundOrigin.AUTOMATIC, status__in=(RefundStatus.FAILED, RefundStatus.CANCELED)
    )
    void = Q(voucher__holds__contains=Hold.VOIDED) | Q(voucher__holds__contains=Hold.REFUNDED)
    usable = SoldVoucher.objects.filter(~void, transaction=OuterRef("pk"))
    unrefunded = Transaction.objects.filter(
        Exists(ended), ~Exists(refunds.under_way()), Exists(usable), status=TransactionStatus.COMPLETED
    )
    return unrefunded.filter(user__is_active=False).exclude(
        pk__in=Dispute.objects.blocking().values("transaction")
    )
