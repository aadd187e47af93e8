"""What the books and Stripe say of the same thing, side by side.

The comparisons ask Stripe nothing and change nothing: what it has said is handed in.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db.models import Q

from apps.payments import gateway
from apps.payments.models import Dispute, Refund, RefundStatus, Transaction
from apps.payments.services.fulfilment import is_paid_in_full
from apps.payments.services.refunds.stripe_sync import STATUS_OF
from apps.vouchers.states import VOID

PAYABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")


@dataclass(frozen=True)
class Difference:
    """Where the books and Stripe do not say the same, and what is needed to repair it.

    `name` is stable: docs/books.md says how to repair each. `stripe_id` is that of the intent, refund or dispute.
    Two with the same name and `key` (where there is none, `about`) are the same.
    """

    name: str
    about: str
    key: str = ""
    transaction: Transaction | None = None
    refund: Refund | None = None
    stripe_id: str = ""


def compare_unfinished(
    transaction: Transaction, intent: gateway.Intent | None, *, returned: bool, now: datetime
) -> Difference | None:
    """Compare a pending transaction with its intent, None where there is none.

    `returned` tells whether all that the intent paid has left again.
    """
    is_open = transaction.user.is_active
    is_over = not is_open or transaction.created_at < now - settings.ABANDONED_AFTER
    unpaid = "abandoned" if is_open else "open_for_closed_account"
    about = f"transaction {transaction.pk}"
    if intent is None:
        return Difference(unpaid, about, transaction=transaction) if is_over else None
    about = f"{about}, {intent.id}"
    if intent.succeeded and not is_paid_in_full(transaction, intent):
        name = "refunded_not_failed" if returned else "amount_mismatch"
    elif intent.succeeded:
        return _paid_not_fulfilled(transaction, intent)
    elif intent.canceled:
        name = "canceled_not_failed"
    elif intent.status in PAYABLE and is_over:
        name = unpaid
    else:
        return None
    return Difference(name, about, transaction=transaction, stripe_id=intent.id)


def compare_listed(
    intent: gateway.Intent, transaction: Transaction | None, *, started_before: datetime
) -> Difference | None:
    """Compare an intent from Stripe's list with our transaction for it, if there is one.

    One that is not fulfilled is a difference only if it was started before a time. Of the others a person ends each by
    giving the money back: it is none once that has happened.
    """
    if not intent.succeeded:
        return None
    if transaction is None:
        if is_foreign(intent):
            return None
        return Difference("paid_unknown_order", f"{intent.id}, order {intent.order_id}", stripe_id=intent.id)
    if transaction.stripe_payment_intent_id not in (None, intent.id):
        name = "paid_twice"
    elif not is_paid_in_full(transaction, intent):
        name = "amount_mismatch"
    elif not transaction.is_paid and transaction.created_at < started_before:
        return _paid_not_fulfilled(transaction, intent)
    else:
        return None
    return Difference(name, f"transaction {transaction.pk}, {intent.id}", stripe_id=intent.id)


def compare_paid(transaction: Transaction, intent: gateway.Intent | None) -> Difference | None:
    """Compare a transaction that counts as paid with its intent, None where Stripe does not have it."""
    about = f"transaction {transaction.pk}"
    if intent is not None and intent.succeeded:
        if is_paid_in_full(transaction, intent):
            return None
        return Difference("amount_mismatch", f"{about}, {intent.id}", stripe_id=intent.id)
    return None if is_void(transaction) else Difference("fulfilled_not_paid", about)


def compare_refund(at_stripe: gateway.Refund, refund: Refund | None) -> Difference | None:
    """Compare a refund at Stripe with ours, if there is one."""
    if refund is None:
        return Difference("refund_unknown", at_stripe.id, stripe_id=at_stripe.id)
    about = f"refund {refund.pk}, {at_stripe.id}"
    if refund.amount != at_stripe.amount:
        return Difference("refund_mismatch", about)
    if refund.status != STATUS_OF.get(at_stripe.status, RefundStatus.PENDING):
        return Difference("refund_moved", about, refund=refund, stripe_id=at_stripe.id)
    return None


def compare_dispute(at_stripe: gateway.Dispute, dispute: Dispute | None) -> Difference | None:
    """Compare a dispute at Stripe with ours, if there is one."""
    if dispute is None:
        return Difference("dispute_unknown", at_stripe.id, stripe_id=at_stripe.id)
    ours = (dispute.stripe_status, dispute.amount, dispute.respond_by)
    if ours != (at_stripe.status, at_stripe.amount, at_stripe.respond_by):
        return Difference("dispute_moved", at_stripe.id, stripe_id=at_stripe.id)
    return None


def transactions_of(intents: list[gateway.Intent]) -> dict[str, Transaction]:
    """Our transactions for these intents, by intent and by order id."""
    references = [intent.order_uuid for intent in intents if intent.order_uuid]
    rows = Transaction.objects.select_related("user").filter(
        Q(stripe_payment_intent_id__in=[intent.id for intent in intents]) | Q(reference__in=references)
    )
    transactions: dict[str, Transaction] = {}
    for transaction in rows:
        transactions[str(transaction.reference)] = transaction
        if transaction.stripe_payment_intent_id:
            transactions[transaction.stripe_payment_intent_id] = transaction
    return transactions


def paid_intents_of(intent_ids: Collection[str]) -> set[str]:
    """Which of these intents have paid a transaction of ours."""
    paid = Transaction.objects.paid().filter(stripe_payment_intent_id__in=intent_ids)
    return {intent_id for intent_id in paid.values_list("stripe_payment_intent_id", flat=True) if intent_id}


def is_foreign(intent: gateway.Intent) -> bool:
    """Whether an intent whose order we don't know is none of ours to look after.

    Those from before installations wrote their names down have none: they may be ours.
    """
    return not intent.order_uuid or intent.installation not in ("", settings.INSTALLATION)


def is_void(transaction: Transaction) -> bool:
    """Whether none of a transaction's vouchers can be redeemed ever again."""
    return all(voucher.held_for & VOID for voucher in transaction.vouchers)


def _paid_not_fulfilled(transaction: Transaction, intent: gateway.Intent) -> Difference:
    """Stripe has the money. Whose account is not open gets it back."""
    return Difference(
        "paid_not_fulfilled" if transaction.user.is_active else "paid_by_closed_account",
        f"transaction {transaction.pk}, {intent.id}",
        key=str(transaction.pk),
        transaction=transaction,
        stripe_id=intent.id,
    )
