"""Which hosts this site answers to."""

import logging
import re
from typing import Final

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest

from .logs import redact
from .middleware import Next

log = logging.getLogger(__name__)

HEALTH: Final = "/api/health/"
METRICS: Final = "/metrics"
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?(:\d{1,5})?", re.ASCII | re.IGNORECASE)


class HostMiddleware:
    """Refuses a host that is not in ALLOWED_HOSTS, and says so in a line; health checks and metrics answer by any.

    Load balancers and Prometheus ask for them by the address of the machine, and they read nothing from it.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            request.get_host()
        except DisallowedHost:
            if not request.path.startswith(HEALTH) and request.path != METRICS:
                host = request.META.get("HTTP_HOST", "")
                # Whatever else stands there may be a secret in a spelling that no mask knows.
                name = f"{redact(host)!r} refused" if NAME.fullmatch(host) else "that is no name refused"
                log.warning("Host %s: it is not in ALLOWED_HOSTS", name)
                return HttpResponseBadRequest("Bad request", content_type="text/plain")
            first = settings.ALLOWED_HOSTS[0] if settings.ALLOWED_HOSTS else ""
            request.META["HTTP_HOST"] = first.lstrip(".*") or "localhost"
        return self.get_response(request)
