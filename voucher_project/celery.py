"""The Celery application; its settings are those of Django's settings that begin with CELERY_."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_init, worker_ready, worker_shutdown

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


@worker_init.connect
def count_in_a_folder(**kwargs: Any) -> None:
    """Creates the folder in which the processes of this worker count for Prometheus, before there are any."""
    from apps.core.metrics import folder

    folder.create()


@worker_ready.connect
def serve_metrics(**kwargs: Any) -> None:
    """Serves what they counted at METRICS_PORT, if that is set."""
    from apps.core.metrics import exposition

    exposition.serve()


@worker_shutdown.connect
def remove_the_folder(**kwargs: Any) -> None:
    """Removes the folder of the metrics."""
    from apps.core.metrics import folder

    if path := folder.current():
        folder.remove(path)
