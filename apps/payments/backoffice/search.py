"""What the admin's search knows of payments: by our number or reference, and by the ids at Stripe."""

from collections.abc import Iterable
from typing import Final

from django.db.models import Q, QuerySet

from apps.core.backoffice.counting import is_row_number
from apps.core.backoffice.search import Finder, Hit, register
from apps.payments import gateway
from apps.payments.backoffice.columns import money
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.models import Dispute, Receipt, Refund, Transaction
from apps.payments.stripe_objects import parse_uuid

UNREACHABLE: Final = "Stripe does not answer: charges can't be looked up now."


def transactions(text: str) -> Iterable[Hit] | str:
    """By number, ours or the receipt's (which the word alone tells apart), reference, payment intent, or charge (which
    Stripe says the payment intent of)."""
    condition = Q(stripe_payment_intent_id=text)
    number = text.lower().removeprefix("receipt").strip()
    if is_row_number(number):
        # Looked up before: with both in one condition the database would read all payments.
        receipts = Receipt.objects.filter(number=int(number)).values_list("transaction", flat=True)
        condition = Q(pk__in=[*receipts, int(text)] if is_row_number(text) else list(receipts))
    elif reference := parse_uuid(text):
        condition = Q(reference=reference)
    elif text.startswith(("ch_", "py_")):
        try:
            condition = Q(stripe_payment_intent_id=gateway.intent_id_of_charge(text))
        except gateway.NotAtStripe:
            return []
        except PaymentProviderUnavailable:
            return UNREACHABLE
    rows: QuerySet[Transaction] = Transaction.objects.filter(condition)
    return [
        Hit(
            row,
            f"Transaction {row.pk}",
            f"{_receipt(row)}{row.quantity} × {row.sold_as}, {money(row.amount, row)}, {row.user}",
            is_certain=not is_row_number(text),  # which may be the end of a code too
        )
        for row in rows.select_related("user", "voucher_type", "receipt").order_by("pk")
    ]


def refunds(text: str) -> Iterable[Hit]:
    """By the id at Stripe, or our number after the word."""
    number = text.lower().removeprefix("refund").strip()
    condition = Q(stripe_refund_id=text)
    if number != text.lower() and is_row_number(number):
        condition = Q(pk=int(number))
    rows = Refund.objects.filter(condition).select_related("transaction__user")
    return [Hit(row, f"Refund {row.pk}", _amount_and_buyer(row), is_certain=True) for row in rows]


def disputes(text: str) -> Iterable[Hit]:
    """By the id at Stripe."""
    rows = Dispute.objects.filter(stripe_dispute_id=text).select_related("transaction__user")
    return [Hit(row, f"Dispute {row.pk}", _amount_and_buyer(row), is_certain=True) for row in rows]


def register_search() -> None:
    """Add them to the search of the admin."""
    register(
        Finder("Payments", "payments", "payments.view_transaction", transactions),
        Finder("Refunds", "currency_exchange", "payments.view_refund", refunds),
        Finder("Disputes", "gavel", "payments.view_dispute", disputes),
    )


def _receipt(paid: Transaction) -> str:
    """Which receipt it has; empty if none."""
    receipt: Receipt | None = getattr(paid, "receipt", None)
    return f"receipt {receipt.number}, " if receipt else ""


def _amount_and_buyer(row: Refund | Dispute) -> str:
    return f"{money(row.amount, row.transaction)}, {row.transaction.user}"
