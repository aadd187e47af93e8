import threading
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_save

from . import lean_imports
from .logs import log_thread_exception, redact
from .logs.slow_queries import watch_connection

lean_imports.load_lean()  # when Django loads the first of the apps


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        from . import checks, gauges, metrics  # noqa: F401 - checks register themselves

        metrics.register(*gauges.readers())
        connection_created.connect(watch_connection)
        threading.excepthook = log_thread_exception
        if settings.SENTRY:
            from . import error_reports

            error_reports.start(**settings.SENTRY)
        pre_save.connect(mask, sender="admin.LogEntry")


def mask(instance: Any, **kwargs: Any) -> None:
    """Keep the admin's log without codes: it holds names and labels as staff wrote them."""
    instance.object_repr = redact(instance.object_repr)
    instance.change_message = redact(instance.change_message)
