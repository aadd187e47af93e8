"""The line of a request: what was called, by whom, and how it went."""

import logging
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.functional import empty

from .logs import route_of
from .rate_limits import client_network

log = logging.getLogger(__name__)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


def log_request(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    """Log a request that was answered after so many seconds, once more as a warning if it is slow.

    By route, not by path: a path may hold a secret, and so may a method that nobody knows.
    """
    ms = seconds * 1000
    is_slow = 0 < settings.SLOW_REQUEST_MS <= ms
    if not (is_slow or log.isEnabledFor(logging.INFO)):
        return
    method, route = method_of(request), route_of(request)
    fields = {
        "method": method,
        "route": route,
        "status": response.status_code,
        "ms": round(ms, 1),
        "user_id": user_id_of(request),
        "network": client_network(request),
        "bytes": _bytes_of(request, response),
    }
    # Words and numbers of ours, and a request id that is masked: nothing of it has to be masked again.
    extra = {"fields": fields, "is_redacted": True}
    log.info("%s %s %s %.0f ms", method, route, response.status_code, ms, extra=extra)
    if is_slow:
        log.warning("Slow request: %s %s %.0f ms", method, route, ms, extra=extra)


def method_of(request: HttpRequest) -> str:
    """The method of HTTP, or "(other)"."""
    return request.method if request.method in METHODS else "(other)"


def user_id_of(request: HttpRequest) -> Any:
    """The number of the user who sent the request; None for nobody, and where nothing had to know who it was."""
    user: Any = vars(request).get("user")
    # Django's middleware leaves an object that looks the user up when it is first used: not for a line of the log.
    if user is None or vars(user).get("_wrapped") is empty:
        return None
    return user.pk


def _bytes_of(request: HttpRequest, response: HttpResponse) -> int | None:
    """The length of the answer's body; None where it is streamed, and its length known to nobody."""
    if request.method == "HEAD":
        return 0
    length = response.headers.get("Content-Length")
    if length is not None:
        return int(length)
    return None if response.streaming else len(response.content)
