"""Background jobs of payments. None of them is needed for a purchase to complete; each may run twice."""

from celery import shared_task

from . import webhooks


@shared_task(name="payments.apply_waiting_events")
def apply_waiting_events() -> int:
    """Apply the Stripe events that are waiting; how many were applied."""
    return webhooks.apply_waiting()
