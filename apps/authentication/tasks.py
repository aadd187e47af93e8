"""Background jobs of signing in. Each may run twice."""

from celery import shared_task
from django.utils import timezone

from apps.users import email_changes

from . import services


@shared_task(name="authentication.remove_old_sessions")
def remove_old_sessions() -> int:
    """Delete sessions that ended long ago; how many."""
    return services.remove_old_sessions(now=timezone.now())


@shared_task(name="authentication.remove_expired_email_changes")
def remove_expired_email_changes() -> int:
    """Delete changes of address whose time is over; how many."""
    return email_changes.remove_expired(now=timezone.now())
