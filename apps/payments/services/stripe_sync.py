"""Bringing the books in line with what Stripe reports, for webhooks and reconciliation.

Whatever it is about, the whole payment is looked up: its intent, its refunds and its disputes (fulfilment.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from apps.payments import gateway
from apps.payments.errors import PaymentMismatch
from apps.payments.models import Dispute, Refund, Transaction

from . import fulfilment
from .refunds.decisions import send_automatic_refunds
from .refunds.stripe_sync import STATUS_OF


class SyncKind(Enum):
    """What came of bringing the books in line with an object at Stripe: rows of a kind, or why there are none."""

    TRANSACTION = "transaction"
    REFUND = "refund"
    DISPUTE = "dispute"
    NO_REFUNDS = "no refunds"
    NOT_AT_STRIPE = "not at Stripe"
    MISMATCH = "mismatch"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class SyncResult:
    """The kind of the outcome, and in `detail` each row as "number status", or the object that Stripe does not have."""

    kind: SyncKind
    detail: tuple[str, ...] = ()


def sync_payment(
    intent_id: str,
    *,
    all_refunds: bool = False,
    all_disputes: bool = False,
    read_at: Mapping[str, datetime] | None = None,
) -> tuple[gateway.Intent, Transaction | None]:
    """`fulfilment.bring_in_line`, and then send what is to go back because the account is closed or deactivated."""
    intent, paid = fulfilment.bring_in_line(
        intent_id, all_refunds=all_refunds, all_disputes=all_disputes, read_at=read_at
    )
    if paid is not None and paid.is_paid and not paid.user.is_active:
        send_automatic_refunds(paid)
        paid.refresh_from_db()
        paid.just_issued = None
    return intent, paid


def sync_payment_intent(intent_id: str) -> SyncResult:
    """Bring the books in line with an intent. Raises PaymentProviderUnavailable."""
    known = Transaction.objects.paid().filter(stripe_payment_intent_id=intent_id).first()
    if known is not None:
        return _transaction_result(known)
    try:
        _, settled = sync_payment(intent_id)
    except gateway.NotAtStripe:
        return SyncResult(SyncKind.NOT_AT_STRIPE, ("intent",))
    except PaymentMismatch:
        return SyncResult(SyncKind.MISMATCH)
    return _transaction_result(settled) if settled else SyncResult(SyncKind.FOREIGN)


def sync_refund(stripe_refund_id: str) -> SyncResult:
    """Bring the books in line with a refund at Stripe. Raises PaymentProviderUnavailable."""
    try:
        at_stripe = gateway.fetch_refund(stripe_refund_id)
    except gateway.NotAtStripe:
        return SyncResult(SyncKind.NOT_AT_STRIPE, ("refund",))
    known = Refund.objects.filter(
        stripe_refund_id=at_stripe.id, status=STATUS_OF.get(at_stripe.status)
    ).first()
    return _refunds_result([known]) if known else _sync_refunds(at_stripe.intent_id)


def sync_refunds_of_charge(charge_id: str) -> SyncResult:
    """The same for all refunds of a charge."""
    try:
        return _sync_refunds(gateway.intent_id_of_charge(charge_id))
    except gateway.NotAtStripe:
        return SyncResult(SyncKind.NOT_AT_STRIPE, ("payment",))


def sync_dispute(stripe_dispute_id: str) -> SyncResult:
    """Bring the books in line with a dispute at Stripe. Raises PaymentProviderUnavailable."""
    try:
        at_stripe = gateway.fetch_dispute(stripe_dispute_id)
        _, paid = sync_payment(at_stripe.intent_id, all_disputes=True)
    except gateway.NotAtStripe:
        return SyncResult(SyncKind.NOT_AT_STRIPE, ("dispute",))
    except PaymentMismatch:
        return SyncResult(SyncKind.MISMATCH)
    if paid is None:
        return SyncResult(SyncKind.FOREIGN)
    dispute = Dispute.objects.filter(stripe_dispute_id=at_stripe.id).first()
    if dispute is None:
        return _transaction_result(paid)
    return SyncResult(SyncKind.DISPUTE, (f"{dispute.pk} {dispute.stripe_status}",))


def _sync_refunds(intent_id: str) -> SyncResult:
    try:
        intent, paid = sync_payment(intent_id, all_refunds=True)
    except gateway.NotAtStripe:
        return SyncResult(SyncKind.NOT_AT_STRIPE, ("payment",))
    except PaymentMismatch:
        return SyncResult(SyncKind.MISMATCH)
    if paid is None:
        return SyncResult(SyncKind.FOREIGN)
    if not paid.is_paid:
        return _transaction_result(paid)
    refunds = paid.refunds.filter(stripe_refund_id__in=[refund.id for refund in intent.refunds])
    return _refunds_result(refunds.order_by("pk"))


def _transaction_result(transaction: Transaction) -> SyncResult:
    return SyncResult(SyncKind.TRANSACTION, (f"{transaction.pk} {transaction.status}",))


def _refunds_result(refunds: Iterable[Refund]) -> SyncResult:
    rows = tuple(f"{refund.pk} {refund.status}" for refund in refunds)
    return SyncResult(SyncKind.REFUND, rows) if rows else SyncResult(SyncKind.NO_REFUNDS)
