"""Background jobs of payments. None of them is needed for a purchase to complete; each may run twice."""

from datetime import timedelta
from typing import Final

from celery import shared_task
from django.utils import timezone

from apps.core import findings
from apps.core.models import JobResult
from apps.core.tasks import LONG_JOB

from . import services, webhooks
from .services import reconciliation

LOOKS_EVERYWHERE: Final = 96  # hours back: the daily reconciliation, which notices that a difference is gone


@shared_task(name="payments.apply_waiting_events")
def apply_waiting_events() -> int:
    """Apply the Stripe events that are waiting, until none is left or the time is over; how many were applied."""
    return webhooks.apply_waiting()


@shared_task(name="payments.cancel_open_purchases")
def cancel_open_purchases(user_id: int) -> int:
    """Cancel what a closed or deactivated account could still pay; how many purchases have ended."""
    return services.cancel_open_purchases(user_id=user_id)


@shared_task(name="payments.remove_old_events", **LONG_JOB)
def remove_old_events() -> int:
    """Delete Stripe events that were applied long ago; how many."""
    return webhooks.remove_old_events(timezone.now())


@shared_task(name="payments.remove_old_idempotency_keys")
def remove_old_idempotency_keys() -> int:
    """Delete idempotency keys that need no longer be known; how many."""
    return services.remove_old_keys(timezone.now())


@shared_task(name="payments.issue_missing_receipts", **LONG_JOB)
def issue_missing_receipts() -> int:
    """Issue the receipts of a week that an older version, which served beside this one, did not; how many."""
    services.erase_buyers_of_closed_accounts()
    return sum(services.issue_missing_receipts(since=timezone.now() - timedelta(days=7)))


@shared_task(name="payments.reconcile", **LONG_JOB)
def reconcile(hours: int) -> int:
    """Bring the books in line with Stripe, so many hours back, and mail what is new of the differences that a person
    must look at; how many these are."""
    now = timezone.now()
    try:
        report = reconciliation.reconcile(since=now - timedelta(hours=hours), until=now, apply=True)
    except reconciliation.AlreadyRunning:
        return 0
    open_ones = [f"{difference.name}, {difference.about}" for difference in report.open]
    JobResult.objects.record(
        f"Reconciliation of {hours} hours",
        problems=len(open_ones),
        details=open_ones,
        complete=report.complete,
        next_within=timedelta(hours=max(1, hours / 2)),
    )
    open_findings = {line: f"{line}." for line in open_ones}
    # Stripe fails at times, and the next run is near. Daily runs look at all that the others do, and further back.
    if hours >= LOOKS_EVERYWHERE and not report.complete:
        open_findings["not complete"] = "Stripe did not answer to the end: not everything was compared."
    findings.report(
        "Reconciliation", open_findings, looked_everywhere=hours >= LOOKS_EVERYWHERE and report.complete
    )
    return len(open_ones)
