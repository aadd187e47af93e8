"""Background jobs of signing in. Each may run twice."""

from celery import shared_task
from django.utils import timezone

from . import services


@shared_task(name="authentication.remove_old_sessions")
def remove_old_sessions() -> int:
    """Delete sessions that ended long ago; how many."""
    return services.remove_old_sessions(now=timezone.now())
