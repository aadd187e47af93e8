"""Background jobs that no app owns. Each may run twice, also at once."""

import time
from typing import Any, Final

from celery import shared_task
from celery.signals import before_task_publish
from django.db import close_old_connections
from django.utils import timezone

from . import bulk_operations, heartbeats, mail
from .bulk_operations import run_bulk_operation as run_bulk_operation  # a task, which workers look for here

# Options of jobs that may take longer than `visibility_timeout` (CELERY_BROKER_TRANSPORT_OPTIONS): meanwhile the broker
# would hand one that is acknowledged at its end to a second worker, and to a third. One that is lost with its worker is
# made up for by the next.
LONG_JOB: Final[dict[str, Any]] = {"acks_late": False, "soft_time_limit": 3600, "time_limit": 3700}

HEARTBEAT: Final = "core.heartbeat"
SENT_AT: Final = "sent_at"  # a header of its message: seconds since 1970


@shared_task(name=HEARTBEAT, bind=True, expires=300)
def heartbeat(self: Any) -> None:
    """Note that a worker does what the schedule sends, and how long that waited for it."""
    sent_at = self.request.get(SENT_AT)
    heartbeats.record(heartbeats.WORKER, waited=max(0.0, time.time() - sent_at) if sent_at else None)


@before_task_publish.connect(sender=HEARTBEAT)
def note_the_schedule(headers: dict[str, Any], **kwargs: Any) -> None:
    """In the process of the schedule, which alone sends heartbeats: note that it does, and when this one left."""
    headers[SENT_AT] = time.time()
    close_old_connections()  # that process has no requests, before which Django does so
    heartbeats.record(heartbeats.SCHEDULE)


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
