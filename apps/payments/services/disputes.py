"""Disputes: the buyer's bank takes a payment back, or asks about it (Stripe's docs, "Disputes").

While one is open the vouchers of the payment are suspended. Won, they come back with the days that were lost;
lost, those are void that its amount pays for: which, and how many, is the rule of `lost_vouchers` in allocation.py.
"""

import logging
from datetime import datetime
from typing import Final

from django.db import transaction as database
from django.utils import timezone

from apps.payments import gateway
from apps.payments.models import Dispute, DisputeOutcome, Transaction

from . import emails
from .allocation import fit_requests
from .recalculation import lock_transaction, recalculate

log = logging.getLogger(__name__)

OUTCOME_OF: Final = {
    "won": DisputeOutcome.WON,
    "warning_closed": DisputeOutcome.WON,
    "prevented": DisputeOutcome.WON,
    "lost": DisputeOutcome.LOST,
}
CHANGING: Final = ("amount", "reason", "stripe_status", "respond_by", "outcome", "closed_at", "updated_at")


def last_changes(intent_id: str) -> dict[str, datetime]:
    """When our row of each dispute of a payment last changed, by its id at Stripe. Read it before asking Stripe."""
    rows = Dispute.objects.filter(transaction__stripe_payment_intent_id=intent_id)
    return dict(rows.values_list("stripe_dispute_id", "updated_at"))


def apply_dispute(at_stripe: gateway.Dispute, *, read_at: datetime | None) -> Dispute | None:
    """Apply a dispute, fetched from Stripe just now; None if our row has moved since `read_at`: fetch again.

    A dispute's status goes to and fro, so an older answer must not undo a newer one. Raises TransactionNotFound.
    """
    with database.atomic():
        paid = lock_transaction(Transaction.objects.filter(stripe_payment_intent_id=at_stripe.intent_id))
        known = Dispute.objects.filter(stripe_dispute_id=at_stripe.id).first()
        if known and (known.stripe_status, known.amount, known.reason, known.respond_by) == (
            at_stripe.status,
            at_stripe.amount,
            at_stripe.reason,
            at_stripe.respond_by,
        ):
            return known
        if (known and known.updated_at) != read_at:
            return None
        now = timezone.now()
        dispute = known or Dispute(stripe_dispute_id=at_stripe.id, transaction=paid, opened_at=now)
        outcome = OUTCOME_OF.get(at_stripe.status, DisputeOutcome.OPEN)
        changed = dispute.pk is None or dispute.outcome != outcome
        corrected = outcome == DisputeOutcome.LOST and dispute.amount != at_stripe.amount
        dispute.amount, dispute.reason = at_stripe.amount, at_stripe.reason
        dispute.stripe_status, dispute.respond_by = at_stripe.status, at_stripe.respond_by
        dispute.outcome = outcome
        if outcome == DisputeOutcome.OPEN:
            dispute.closed_at = None
        elif dispute.closed_at is None:
            dispute.closed_at = now
        dispute.save(update_fields=None if dispute.pk is None else CHANGING)
        if changed or corrected:
            if outcome == DisputeOutcome.LOST:
                fit_requests(paid, reason="Lost to a dispute.")
            recalculate(paid, reason=f"Dispute {dispute.pk} {outcome.label.lower()}")
        if changed:
            if outcome == DisputeOutcome.OPEN:
                emails.dispute_opened(dispute)
            else:
                emails.dispute_closed(dispute)
            log.warning("Dispute %s of transaction %s: %s", dispute.pk, paid.pk, at_stripe.status)
    return dispute
