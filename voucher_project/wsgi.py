"""The WSGI entry point, for gunicorn."""

from django.core.wsgi import get_wsgi_application

from .environment import choose_settings

choose_settings()
application = get_wsgi_application()

from apps.core.startup import log_configuration  # noqa: E402 - the logs are set up by the line above

log_configuration()
