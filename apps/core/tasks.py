"""Background jobs that no app owns. Each may run twice, also at once."""

from typing import Any, Final

from celery import shared_task
from django.utils import timezone

from . import bulk_operations, mail
from .bulk_operations import run_bulk_operation as run_bulk_operation  # a task, which workers look for here

# Options of jobs that may take longer than `visibility_timeout` (CELERY_BROKER_TRANSPORT_OPTIONS): meanwhile the broker
# would hand one that is acknowledged at its end to a second worker, and to a third. One that is lost with its worker is
# made up for by the next.
LONG_JOB: Final[dict[str, Any]] = {"acks_late": False, "soft_time_limit": 3600, "time_limit": 3700}


@shared_task(name="core.send_queued_mail")
def send_queued_mail() -> int:
    """Send the mail that is waiting; how many were sent."""
    return mail.send_pending()


@shared_task(name="core.remove_old_mail")
def remove_old_mail() -> int:
    """Delete mail that was dealt with some time ago; how many."""
    return mail.remove_old(timezone.now())


@shared_task(name="core.run_interrupted_bulk_operations")
def run_interrupted_bulk_operations() -> int:
    """Take up the bulk operations that were interrupted; how many."""
    return bulk_operations.run_interrupted()
