"""Background jobs of payments. None of them is needed for a purchase to complete; each may run twice."""

from celery import shared_task
from django.utils import timezone

from . import services, webhooks


@shared_task(name="payments.apply_waiting_events")
def apply_waiting_events() -> int:
    """Apply the Stripe events that are waiting; how many were applied."""
    return webhooks.apply_waiting()


@shared_task(name="payments.remove_old_idempotency_keys")
def remove_old_idempotency_keys() -> int:
    """Delete idempotency keys that need no longer be known; how many."""
    return services.remove_old_keys(timezone.now())
