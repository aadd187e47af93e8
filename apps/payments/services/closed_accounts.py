"""Purchases of accounts that are closed, or deactivated: such an account buys nothing.

What is open is canceled at Stripe, and a payment that arrives all the same goes back (fulfilment.py).
"""

import logging

from apps.payments import gateway
from apps.payments.errors import PaymentMismatch, PaymentProviderUnavailable
from apps.payments.models import Transaction, TransactionStatus

from .stripe_sync import sync_payment

log = logging.getLogger(__name__)


def cancel_open_purchases(*, user_id: int) -> int:
    """Cancel at Stripe what a closed or deactivated account could still pay; how many purchases have ended.

    One that was paid in the last moment goes back. Stops where Stripe does not answer.
    """
    ended = 0
    pending = Transaction.objects.filter(
        user=user_id, user__is_active=False, status=TransactionStatus.PENDING
    )
    for transaction in pending.order_by("pk"):
        try:
            ended += _cancel(transaction)
        except PaymentProviderUnavailable:
            log.warning("Transaction %s of a closed account is not canceled yet", transaction.pk)
            break
    return ended


def _cancel(transaction: Transaction) -> bool:
    intent_id = transaction.stripe_payment_intent_id
    try:
        if (
            intent_id is None
        ):  # Stripe's answer was not noted, or is on its way: then who started it cancels it
            intent = gateway.find_intent(order_id=transaction.reference, since=transaction.created_at)
            if intent is None:
                return False
            intent_id = intent.id
        gateway.cancel_intent(intent_id)
        _, settled = sync_payment(intent_id)
    except (gateway.NotAtStripe, PaymentMismatch):  # the reconciliation tells of them
        return False
    return settled is not None and settled.status != TransactionStatus.PENDING
