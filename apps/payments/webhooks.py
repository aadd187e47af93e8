"""Stripe's events: received once, kept, and each handed to the service that knows what to do.

Duplicates and any order are normal: an event only says which object to fetch.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from django.db.models import F
from django.utils import timezone

from apps.core.errors import UnavailableError

from . import gateway, services
from .models import StripeEvent

log = logging.getLogger(__name__)

HANDLERS: Final[Mapping[str, Callable[[str], str]]] = {
    "payment_intent.succeeded": services.settle_intent,
    "payment_intent.processing": services.settle_intent,
    "payment_intent.payment_failed": services.settle_intent,
    "payment_intent.canceled": services.settle_intent,
    "refund.created": services.settle_refund,
    "refund.updated": services.settle_refund,
    "refund.failed": services.settle_refund,
    "charge.refund.updated": services.settle_refund,
    "charge.refunded": services.settle_refunds_of_charge,
    "charge.dispute.created": services.settle_dispute,
    "charge.dispute.updated": services.settle_dispute,
    "charge.dispute.closed": services.settle_dispute,
    "charge.dispute.funds_withdrawn": services.settle_dispute,
    "charge.dispute.funds_reinstated": services.settle_dispute,
}


def receive(body: bytes, signature: str) -> StripeEvent:
    """Check, keep and apply one delivery; a delivery of an event that was applied changes nothing.

    Raises SignatureInvalid, or UnavailableError when Stripe can't be asked about the object now: the event
    is kept, and both Stripe's next delivery and `apply_waiting` try again.
    """
    told = gateway.read_event(body, signature)
    event, _ = StripeEvent.objects.get_or_create(
        stripe_id=told.id, defaults={"type": told.type, "object_id": told.object_id}
    )
    if event.processed_at is None:
        apply(event)
    return event


def apply(event: StripeEvent) -> None:
    """Do what the event asks for and note what came of it. Raises UnavailableError."""
    StripeEvent.objects.filter(pk=event.pk).update(attempts=F("attempts") + 1)
    handler = HANDLERS.get(event.type)
    event.outcome = handler(event.object_id) if handler else "nothing to do for this type"
    event.processed_at = timezone.now()
    event.save(update_fields=("outcome", "processed_at"))
    log.info("Stripe event %s (%s): %s", event.stripe_id, event.type, event.outcome)


def apply_waiting(limit: int = 200) -> int:
    """Apply events that an earlier attempt left waiting, the least tried first; how many were applied."""
    applied = 0
    for event in StripeEvent.objects.waiting()[:limit]:
        try:
            apply(event)
        except UnavailableError:
            log.warning("Stripe event %s must wait: Stripe does not answer", event.stripe_id)
        except Exception:  # one bad event must not keep the others waiting
            log.exception("Stripe event %s could not be applied", event.stripe_id)
        else:
            applied += 1
    return applied
