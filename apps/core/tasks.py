"""Background jobs that no app owns. Each may run twice, also at once."""

from celery import shared_task
from django.utils import timezone

from . import mail


@shared_task(name="core.send_queued_mail")
def send_queued_mail() -> int:
    """Send the mail that is waiting; how many were sent."""
    return mail.send_pending()


@shared_task(name="core.remove_old_mail")
def remove_old_mail() -> int:
    """Delete mail that was dealt with some time ago; how many."""
    return mail.remove_old(timezone.now())
