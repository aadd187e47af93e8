"""What of purchases and refunds can be exported: for whoever keeps the books.

Whoever adds up a column `received`, `refunded` or `went back` gets the figures of the books: an order that nobody paid,
or a refund that came to nothing, has an empty cell there.
"""

from typing import Any, Final

from django.db.models import Case, Count, DecimalField, F, OuterRef, Subquery, When

from apps.core.exports import Column, Days, Kind, Table, moment_columns
from apps.vouchers.exports import VOUCHERS, sold_as

from .models import PAID, Refund, RefundedVoucher, RefundStatus, Transaction


def if_paid(amount: Any) -> Case:
    """An amount of a transaction if its money arrived, as a column; otherwise nothing."""
    return Case(
        When(status__in=PAID, then=amount), output_field=DecimalField(max_digits=12, decimal_places=2)
    )


def if_succeeded(amount: Any) -> Case:
    """The amount of a refund if it succeeded, as a column; otherwise nothing."""
    return Case(
        When(status=RefundStatus.SUCCEEDED, then=amount),
        output_field=DecimalField(max_digits=12, decimal_places=2),
    )


def vouchers_refunded() -> Subquery:
    """For how many vouchers a refund gives the money back, as a column; none for goodwill alone."""
    lines = RefundedVoucher.objects.filter(refund=OuterRef("pk")).order_by().values("refund")
    return Subquery(lines.annotate(number=Count("pk")).values("number"))


TRANSACTIONS: Final = Table(
    name="transactions",
    model=Transaction,
    permission="payments.export_transaction",
    columns=(
        Column("number", "pk", Kind.INTEGER),
        Column("reference", "reference", convert=str),
        Column("status", "status"),
        *moment_columns("started", "created_at"),
        *moment_columns("paid", "completed_at"),
        Column("buyer number", "user_id", Kind.INTEGER),
        Column("buyer", "user__email"),
        Column("voucher type", sold_as(), free_text=True),
        Column("service", "service_type"),
        Column("quantity", "quantity", Kind.INTEGER),
        Column("unit price", "unit_price", Kind.AMOUNT),
        Column("amount", "amount", Kind.AMOUNT),
        Column("received", if_paid(F("amount")), Kind.AMOUNT),
        Column("refunded", "amount_refunded", Kind.AMOUNT),
        Column("net", if_paid(F("amount") - F("amount_refunded")), Kind.AMOUNT),
        Column("being refunded", "amount_refunding", Kind.AMOUNT),
        Column("goodwill", "amount_goodwill", Kind.AMOUNT),
        Column("currency", "currency"),
        Column("payment intent", "stripe_payment_intent_id"),
        Column("receipt number", "receipt__number", Kind.INTEGER),
        Column("tax", "receipt__tax_amount", Kind.AMOUNT),
    ),
    days=(Days("paid", "completed_at"), Days("started", "created_at")),
)

REFUNDS: Final = Table(
    name="refunds",
    model=Refund,
    permission="payments.export_refund",
    columns=(
        Column("number", "pk", Kind.INTEGER),
        Column("reference", "reference", convert=str),
        Column("status", "status"),
        Column("origin", "origin"),
        Column("amount", "amount", Kind.AMOUNT),
        Column("went back", if_succeeded(F("amount")), Kind.AMOUNT),
        Column("currency", "transaction__currency"),
        Column("vouchers", vouchers_refunded(), Kind.INTEGER),
        *moment_columns("requested", "created_at"),
        Column("requested by", "requested_by__email"),
        Column("reason", "reason", free_text=True),
        *moment_columns("decided", "decided_at"),
        Column("decided by", "decided_by__email"),
        Column("note of the decision", "decision_note", free_text=True),
        *moment_columns("ended", "finished_at"),
        Column("why it failed", "failure_reason", free_text=True),
        Column("transaction number", "transaction_id", Kind.INTEGER),
        Column("buyer number", "transaction__user_id", Kind.INTEGER),
        Column("buyer", "transaction__user__email"),
        Column("voucher type", sold_as("transaction__"), free_text=True),
        Column("refund at Stripe", "stripe_refund_id"),
    ),
    days=(Days("ended", "finished_at"), Days("requested", "created_at")),
)


def extend_exported_vouchers() -> None:
    """Add to the exported vouchers what only this app knows: what paid for them."""
    VOUCHERS.register_columns(Column("transaction number", "sale__transaction_id", Kind.INTEGER))
