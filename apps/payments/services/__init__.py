"""What can be done with money, by use case. See docs/locking.md for what is locked, and in which order."""

from .closed_accounts import cancel_open_purchases
from .disputes import apply_dispute
from .emails import RECEIPT, queue_receipt, receipt_attachment
from .fulfilment import erase_buyer, settle
from .idempotency_keys import answered, earlier_request, remove_old_keys
from .purchases import Purchase, confirm_payment, start_purchase
from .refund_allocation import refundable_amount
from .refund_decisions import approve_refund, execute_refund, reject_refund
from .refunds import (
    apply_refund,
    erase_reasons,
    refundable_by_staff,
    request_refund,
    request_refund_by_staff,
)
from .stripe_sync import settle_dispute, settle_intent, settle_refund, settle_refunds_of_charge

__all__ = [
    "RECEIPT",
    "Purchase",
    "answered",
    "apply_dispute",
    "apply_refund",
    "approve_refund",
    "cancel_open_purchases",
    "confirm_payment",
    "earlier_request",
    "erase_buyer",
    "erase_reasons",
    "execute_refund",
    "queue_receipt",
    "receipt_attachment",
    "refundable_amount",
    "refundable_by_staff",
    "reject_refund",
    "remove_old_keys",
    "request_refund",
    "request_refund_by_staff",
    "settle",
    "settle_dispute",
    "settle_intent",
    "settle_refund",
    "settle_refunds_of_charge",
    "start_purchase",
]
