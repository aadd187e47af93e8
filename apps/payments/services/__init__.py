"""What can be done with money, by use case. See docs/locking.md for what is locked, and in which order."""

from .allocation import refundable_amount
from .closed_accounts import cancel_open_purchases
from .disputes import apply_dispute
from .emails import RECEIPT, mail_withheld_receipt, queue_receipt, receipt_attachments
from .fulfilment import apply_intent, erase_buyer
from .idempotency_keys import remove_old_keys, store_response
from .purchases import Confirmation, Purchase, confirm_payment, start_purchase
from .receipts import erase_buyers_of_closed_accounts, issue_missing_receipts, print_receipt
from .refunds.decisions import approve_refund, execute_refund, reject_refund
from .refunds.failures import acknowledge_failed_refund
from .refunds.requests import (
    RefundRequest,
    erase_reasons,
    refundable_by_staff,
    request_refund,
    request_refund_by_staff,
)
from .refunds.stripe_sync import apply_refund
from .stripe_sync import (
    SyncKind,
    SyncResult,
    sync_dispute,
    sync_payment_intent,
    sync_refund,
    sync_refunds_of_charge,
)

__all__ = [
    "RECEIPT",
    "Confirmation",
    "Purchase",
    "RefundRequest",
    "SyncKind",
    "SyncResult",
    "acknowledge_failed_refund",
    "apply_dispute",
    "apply_intent",
    "apply_refund",
    "approve_refund",
    "cancel_open_purchases",
    "confirm_payment",
    "erase_buyer",
    "erase_buyers_of_closed_accounts",
    "erase_reasons",
    "execute_refund",
    "issue_missing_receipts",
    "mail_withheld_receipt",
    "print_receipt",
    "queue_receipt",
    "receipt_attachments",
    "refundable_amount",
    "refundable_by_staff",
    "reject_refund",
    "remove_old_keys",
    "request_refund",
    "request_refund_by_staff",
    "start_purchase",
    "store_response",
    "sync_dispute",
    "sync_payment_intent",
    "sync_refund",
    "sync_refunds_of_charge",
]
