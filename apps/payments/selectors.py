"""Reads of transactions."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from apps.core.money import format_amount
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


def transactions_of(user: User) -> QuerySet[Transaction]:
    """The user's transactions with their types, newest first."""
    return Transaction.objects.owned_by(user).select_related("voucher_type").order_by("-created_at", "-id")


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
    *, since: datetime | None = None, after: tuple[datetime, int] | None = None
) -> QuerySet[Transaction]:
    """Paid transactions without a receipt, with their types, in the order of completion and number.

    Completed at or after `since`, and of those what comes after the (time of completion, number) of `after`.
    """
    lacking = Transaction.objects.paid().filter(~Exists(Receipt.objects.filter(transaction=OuterRef("pk"))))
    if since is not None:
        lacking = lacking.filter(completed_at__gte=since)
    if after is not None:
        at, number = after
        # The first condition is one that the index of completion knows.
        lacking = lacking.filter(
            Q(completed_at__gt=at) | Q(completed_at=at, pk__gt=number), completed_at__gte=at
        )
    return lacking.select_related("voucher_type").order_by("completed_at", "pk")


def confirmation_message(paid: Transaction, outcomes: Collection[str]) -> str:
    """What to tell the buyer of a paid transaction who comes back from paying it, or asks again much later.

    `outcomes` are those of its disputes.
    """
    if paid.status == TransactionStatus.REFUNDED:
        taken_back = DisputeOutcome.LOST in outcomes
        what = "was taken back by your bank" if taken_back else "was refunded in full"
        return f"This payment {what}. Its vouchers can't be used any more."
    sentences = ["Payment completed."]
    amount = format_amount(paid.amount, paid.currency)
    if paid.amount_refunded:
        refunded = format_amount(paid.amount_refunded, paid.currency)
        sentences.append(f"Of {amount}, {refunded} went back to you.")
    if paid.amount_refunding:
        refunding = format_amount(paid.amount_refunding, paid.currency)
        sentences.append(f"A refund of {refunding} is under way.")
    if DisputeOutcome.OPEN in outcomes:
        sentences.append("Your bank is looking into it: until that has ended, its vouchers can't be used.")
    return " ".join(sentences)


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
