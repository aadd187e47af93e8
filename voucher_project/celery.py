"""The Celery application; its settings are those of Django's settings that begin with CELERY_."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from apps.core import task_log

from .environment import choose_settings

choose_settings()
app = Celery("voucher_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
task_log.connect()


@setup_logging.connect
def keep_the_logs(**kwargs: Any) -> None:
    """Leaves the logs as Django's settings configure them. Celery's own handlers would write voucher codes unmasked."""
