"""Background jobs of vouchers. Each may run twice, also at once."""

from typing import Final

from celery import shared_task
from django.utils import timezone

from . import services

BUDGET: Final = 90.0  # seconds; a job is ended after CELERY_TASK_SOFT_TIME_LIMIT


@shared_task(name="vouchers.send_expiry_reminders")
def send_expiry_reminders() -> int:
    """Mail owners whose vouchers expire soon; how many mails were queued."""
    return services.send_expiry_reminders(now=timezone.now(), budget=BUDGET)


@shared_task(name="vouchers.remove_old_refusals")
def remove_old_refusals() -> int:
    """Delete the counts of refused redemptions of long ago; how many rows."""
    return services.remove_old_refusals(now=timezone.now())
