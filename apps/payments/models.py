"""Payments, the vouchers issued for them, what goes back of them, and the events from Stripe.

A foreign key has no index of its own (`db_index=False`) where another index or a constraint begins with it.
"""

from .tables.disputes import (
    INQUIRY,
    NEEDS_RESPONSE,
    Dispute,
    DisputeOutcome,
    DisputeQuerySet,
)
from .tables.idempotency import IdempotencyKey
from .tables.receipts import Receipt, ReceiptCounter
from .tables.refunds import (
    UNDER_WAY,
    Refund,
    RefundedVoucher,
    RefundOrigin,
    RefundQuerySet,
    RefundStatus,
)
from .tables.stripe_events import StripeEvent, StripeEventQuerySet
from .tables.transactions import PAID, SoldVoucher, Transaction, TransactionQuerySet, TransactionStatus

__all__ = [
    "INQUIRY",
    "NEEDS_RESPONSE",
    "PAID",
    "UNDER_WAY",
    "Dispute",
    "DisputeOutcome",
    "DisputeQuerySet",
    "IdempotencyKey",
    "Receipt",
    "ReceiptCounter",
    "Refund",
    "RefundOrigin",
    "RefundQuerySet",
    "RefundStatus",
    "RefundedVoucher",
    "SoldVoucher",
    "StripeEvent",
    "StripeEventQuerySet",
    "Transaction",
    "TransactionQuerySet",
    "TransactionStatus",
]
