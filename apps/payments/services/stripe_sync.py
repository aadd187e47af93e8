"""Bringing the books in line with what Stripe told us of, for webhooks and reconciliation.

Whatever it is about, the whole payment is looked up: its intent, its refunds and its disputes (fulfilment.py).
"""

from apps.payments import gateway
from apps.payments.errors import PaymentMismatch
from apps.payments.models import Dispute, Refund, Transaction

from . import fulfilment
from .refund_decisions import send_automatic_refunds
from .refunds import STATUS_OF


def settle_payment(
    intent_id: str, *, all_refunds: bool = False, all_disputes: bool = False
) -> tuple[gateway.Intent, Transaction | None]:
    """`fulfilment.bring_in_line`, and then send what is to go back because the account is closed or deactivated."""
    intent, paid = fulfilment.bring_in_line(intent_id, all_refunds=all_refunds, all_disputes=all_disputes)
    if paid is not None and paid.is_paid and not paid.user.is_active:
        send_automatic_refunds(paid)
        paid.refresh_from_db()
    return intent, paid


def sync_payment_intent(intent_id: str) -> str:
    """Bring the books in line with an intent; what came of it, in a few words.

    Raises PaymentProviderUnavailable.
    """
    known = Transaction.objects.paid().filter(stripe_payment_intent_id=intent_id).first()
    if known is not None:
        return f"transaction {known.pk} {known.status}"
    try:
        _, settled = settle_payment(intent_id)
    except gateway.NotAtStripe:
        return "no such intent"
    except PaymentMismatch:
        return "mismatch: nothing issued"
    return f"transaction {settled.pk} {settled.status}" if settled else "not one of ours"


def sync_refund(stripe_refund_id: str) -> str:
    """Bring the books in line with a refund at Stripe; what came of it. Raises PaymentProviderUnavailable."""
    try:
        found = gateway.fetch_refund(stripe_refund_id)
    except gateway.NotAtStripe:
        return "no such refund"
    known = Refund.objects.filter(stripe_refund_id=found.id, status=STATUS_OF.get(found.status)).first()
    return _outcome(known) if known else _settle_refunds(found.intent_id)


def sync_refunds_of_charge(charge_id: str) -> str:
    """The same for all refunds of a charge."""
    try:
        return _settle_refunds(gateway.intent_id_of_charge(charge_id))
    except gateway.NotAtStripe:
        return "no such payment"


def sync_dispute(stripe_dispute_id: str) -> str:
    """Bring the books in line with a dispute at Stripe; what came of it. Raises PaymentProviderUnavailable."""
    try:
        found = gateway.fetch_dispute(stripe_dispute_id)
        _, paid = settle_payment(found.intent_id, all_disputes=True)
    except gateway.NotAtStripe:
        return "no such dispute"
    except PaymentMismatch:
        return "mismatch: nothing issued"
    if paid is None:
        return "not one of ours"
    applied = Dispute.objects.filter(stripe_dispute_id=found.id).first()
    if applied is None:
        return f"transaction {paid.pk} {paid.status}"
    return f"dispute {applied.pk} {applied.stripe_status}"


def _settle_refunds(intent_id: str) -> str:
    try:
        intent, paid = settle_payment(intent_id, all_refunds=True)
    except gateway.NotAtStripe:
        return "no such payment"
    except PaymentMismatch:
        return "mismatch: nothing issued"
    if paid is None:
        return "not one of ours"
    if not paid.is_paid:
        return f"transaction {paid.pk} {paid.status}"
    applied = paid.refunds.filter(stripe_refund_id__in=[refund.id for refund in intent.refunds])
    return ", ".join(map(_outcome, applied.order_by("pk")))[:200] or "no refunds"


def _outcome(refund: Refund) -> str:
    return f"refund {refund.pk} {refund.status}"
