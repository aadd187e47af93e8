"""Reads of transactions."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import BigAutoField, BigIntegerField, CharField, Exists, F, OuterRef, Q, QuerySet

from apps.core.money import format_amount
from apps.core.prepared_queries import PreparedModelQuery, PreparedQuery
from apps.users.models import User
from apps.vouchers.models import Hold, Voucher
from apps.vouchers.rows import VOUCHER_COLUMNS, VoucherRow

from .errors import NotPaid, TransactionNotFound
from .models import (
    Dispute,
    DisputeOutcome,
    Refund,
    RefundOrigin,
    RefundStatus,
    SoldVoucher,
    Transaction,
    TransactionStatus,
)
from .rows import TRANSACTION_COLUMNS, TransactionRow, issued_voucher_rows


def transactions_of(user: User) -> QuerySet[Transaction]:
    """The user's transactions with their types, newest first."""
    return Transaction.objects.owned_by(user).select_related("voucher_type").order_by("-created_at", "-id")


def transaction_row_of(user: User, transaction_id: int) -> TransactionRow:
    """One of the user's transactions. One query. Raises TransactionNotFound for any other."""
    in_range = transaction_id <= BigIntegerField.MAX_BIGINT
    rows = _OWN.rows(user=user.pk, pk=transaction_id) if in_range else []
    if not rows:
        raise TransactionNotFound
    return rows[0]


_OWN: Final = PreparedQuery(
    TransactionRow,
    lambda user, pk: (
        Transaction.objects.filter(pk=pk, user=user).order_by().values_list(*TRANSACTION_COLUMNS)
    ),
    user=BigAutoField(),
    pk=BigAutoField(),
)


def paid_transaction(transaction_id: int, *, among: QuerySet[Transaction]) -> Transaction:
    """One paid transaction with its buyer, of those that the caller may see.

    Raises TransactionNotFound, also where it is not `among` them, and NotPaid.
    """
    transaction = among.select_related("voucher_type", "user").filter(pk=transaction_id).first()
    if transaction is None:
        raise TransactionNotFound
    if not transaction.is_paid:
        raise NotPaid
    return transaction


def voucher_rows(transaction: Transaction) -> list[VoucherRow]:
    """The vouchers of a transaction in the order of its lines. No query where this instance has just issued them."""
    rows = issued_voucher_rows(transaction)
    return voucher_rows_of(transaction.pk) if rows is None else rows


def voucher_rows_of(transaction_id: int) -> list[VoucherRow]:
    """The vouchers of the transaction with this number, in the order of its lines. One query."""
    return _VOUCHERS.rows(transaction=transaction_id)


_VOUCHERS: Final = PreparedQuery(
    VoucherRow,
    lambda transaction: (
        Voucher.objects.filter(sale__transaction=transaction)
        .order_by("sale__line_no")
        .values_list(*VOUCHER_COLUMNS)
    ),
    transaction=BigAutoField(),
)


@dataclass(frozen=True)
class OwnPayment:
    """A transaction with its type, and of each dispute about it the outcome, and when its row last changed."""

    transaction: Transaction
    outcomes: frozenset[str]
    last_changes: dict[str, datetime]  # by the dispute's id at Stripe


def payment_of(user: User, payment_intent_id: str) -> OwnPayment:
    """The user's transaction with this payment intent. One query. Raises TransactionNotFound for any other."""
    rows = _PAYMENTS.rows(user=user.pk, intent_id=payment_intent_id)
    if not rows:
        raise TransactionNotFound
    disputes = [vars(row) for row in rows if vars(row)["dispute_id"] is not None]
    return OwnPayment(
        rows[0],
        frozenset(dispute["dispute_outcome"] for dispute in disputes),
        {dispute["dispute_id"]: dispute["dispute_changed_at"] for dispute in disputes},
    )


# A row for each dispute; one without a dispute if there is none.
_PAYMENTS: Final = PreparedModelQuery(
    lambda user, intent_id: (
        Transaction.objects.filter(user=user, stripe_payment_intent_id=intent_id)
        .select_related("voucher_type")
        .annotate(
            dispute_id=F("disputes__stripe_dispute_id"),
            dispute_outcome=F("disputes__outcome"),
            dispute_changed_at=F("disputes__updated_at"),
        )
        .order_by()
    ),
    user=BigAutoField(),
    intent_id=CharField(),
)


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
