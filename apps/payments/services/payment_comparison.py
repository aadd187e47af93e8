"""What the books and Stripe say of one payment, side by side."""

from collections.abc import Collection
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from apps.payments import gateway
from apps.payments.models import Transaction
from apps.vouchers.models import VOID


def transactions_of(intents: list[gateway.Intent]) -> dict[str, Transaction]:
    """Our transactions for these intents, by intent and by order id."""
    references = [reference for intent in intents if (reference := uuid_or_none(intent.order_id))]
    rows = Transaction.objects.select_related("user").filter(
        Q(stripe_payment_intent_id__in=[intent.id for intent in intents]) | Q(reference__in=references)
    )
    found: dict[str, Transaction] = {}
    for transaction in rows:
        found[str(transaction.reference)] = transaction
        if transaction.stripe_payment_intent_id:
            found[transaction.stripe_payment_intent_id] = transaction
    return found


def paid_intents_of(intent_ids: Collection[str]) -> set[str]:
    """Which of these intents have paid a transaction of ours."""
    paid = Transaction.objects.paid().filter(stripe_payment_intent_id__in=intent_ids)
    return {intent_id for intent_id in paid.values_list("stripe_payment_intent_id", flat=True) if intent_id}


def agree(transaction: Transaction, intent: gateway.Intent) -> bool:
    """Whether an intent paid exactly what is due."""
    due = (transaction.amount, transaction.currency, str(transaction.reference))
    return due == (intent.amount_received, intent.currency, intent.order_id)


def is_foreign(intent: gateway.Intent) -> bool:
    """Whether an intent whose order we don't know is none of ours to look after.

    Those from before installations wrote their names down have none: they may be ours.
    """
    return not uuid_or_none(intent.order_id) or intent.installation not in ("", settings.INSTALLATION)


def is_fully_returned(intent_id: str) -> bool:
    """Whether all that an intent paid has left again, by refunds that succeeded and disputes that were lost.

    Raises NotAtStripe or PaymentProviderUnavailable.
    """
    intent = gateway.fetch_intent(intent_id)
    refunded = [refund.amount for refund in intent.refunds if refund.status == "succeeded"]
    lost = [dispute.amount for dispute in intent.disputes if dispute.status == "lost"]
    return sum(refunded) + sum(lost) >= intent.amount_received


def is_void(transaction: Transaction) -> bool:
    """Whether none of a transaction's vouchers can be redeemed ever again."""
    return all(voucher.held_for & VOID for voucher in transaction.vouchers)


def uuid_or_none(text: str) -> UUID | None:
    """The UUID that a text is, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None
