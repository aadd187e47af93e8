"""Refunds as Stripe says they are: ours and those from its dashboard, which the books take over."""

import logging
from typing import Final

from django.db import transaction as database

from apps.payments import gateway
from apps.payments.errors import TransactionNotFound
from apps.payments.models import UNDER_WAY, Refund, RefundOrigin, RefundStatus, Transaction
from apps.payments.services import emails
from apps.payments.services.allocation import COUNTING, claim_vouchers, end_refund, fit_requests
from apps.payments.services.recalculation import lock_transaction, lock_vouchers, recalculate

from . import failures

log = logging.getLogger(__name__)

# What a status at Stripe is to us ("Refunds": requires_action waits for the buyer's bank details).
STATUS_OF: Final = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELED,
}
# A refund only moves on: an answer that was fetched earlier and applied later undoes nothing.
_RANK: Final = {
    RefundStatus.REQUESTED: 0,
    RefundStatus.APPROVED: 1,
    RefundStatus.PENDING: 2,
    RefundStatus.SUCCEEDED: 3,
    RefundStatus.FAILED: 4,
    RefundStatus.CANCELED: 4,
    RefundStatus.REJECTED: 4,
}


def apply_refund(at_stripe: gateway.Refund) -> Refund | None:
    """Apply a refund, fetched from Stripe just now, to the books; None if its payment is not one of ours.

    One that we don't know is from Stripe's dashboard. Where it leaves less than a request asks for, the request
    is lowered.
    """
    with database.atomic():
        try:
            paid = lock_transaction(Transaction.objects.filter(stripe_payment_intent_id=at_stripe.intent_id))
        except TransactionNotFound:
            return None
        refund = _known(paid, at_stripe) or _adopt(paid, at_stripe)
        status = STATUS_OF.get(at_stripe.status, RefundStatus.PENDING)
        if refund.stripe_refund_id and _RANK[status] <= _RANK[RefundStatus(refund.status)]:
            return refund
        refund.stripe_refund_id = at_stripe.id
        refund.failure_reason = at_stripe.failure_reason
        if status in UNDER_WAY:
            refund.status = status
            refund.finished_at = None
            refund.save(
                update_fields=("status", "stripe_refund_id", "failure_reason", "finished_at", "updated_at")
            )
        else:
            end_refund(refund, status)
        if status in COUNTING:
            fit_requests(paid, reason="Refunded in Stripe's dashboard instead.")
            claim_vouchers(paid, refund, lock_vouchers(paid))
        recalculate(paid, reason=f"Refund {refund.pk} {RefundStatus(refund.status).label.lower()}")
        emails.refund_decided(refund)
        if status == RefundStatus.FAILED:
            failures.mail_staff_about_failure(refund)
    if status == RefundStatus.FAILED:
        log.error("Refund %s of transaction %s failed: %s", refund.pk, paid.pk, at_stripe.failure_reason)
    return refund


def _known(paid: Transaction, at_stripe: gateway.Refund) -> Refund | None:
    refunds = paid.refunds.select_related("transaction")
    known = refunds.filter(stripe_refund_id=at_stripe.id).first()
    if known is None and at_stripe.reference_uuid:
        known = refunds.filter(reference=at_stripe.reference_uuid, stripe_refund_id=None).first()
    return known


def _adopt(paid: Transaction, at_stripe: gateway.Refund) -> Refund:
    """A row for a refund from Stripe's dashboard."""
    return Refund.objects.create(
        transaction=paid,
        amount=at_stripe.amount,
        origin=RefundOrigin.STRIPE,
        status=RefundStatus.APPROVED,
        reason="Made in Stripe's dashboard.",
    )
