"""The WSGI entry point, for gunicorn."""

from django.core.wsgi import get_wsgi_application

from .environment import choose_settings

choose_settings()
application = get_wsgi_application()

from django.urls import get_resolver  # noqa: E402 - the settings are there since the line above

from apps.core.startup import log_configuration  # noqa: E402 - and so are the logs

_ = get_resolver().url_patterns  # imports all views now: otherwise the first requests wait for it
log_configuration()
