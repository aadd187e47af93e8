"""The ASGI entry point."""

from django.core.asgi import get_asgi_application

from .environment import choose_settings

choose_settings()
application = get_asgi_application()
