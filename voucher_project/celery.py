"""The Celery application; its settings are those of Django's settings that begin with CELERY_."""

from celery import Celery

from .environment import choose_settings

choose_settings()
app = Celery("voucher_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
