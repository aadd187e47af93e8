"""What every request passes through: its id, and the shape of errors from outside the views."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Final

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.http import ConditionalGetMiddleware
from django.utils.cache import patch_vary_headers

from apps.core.api import problems

from . import logs
from .metrics import Counter, Histogram
from .request_log import log_request, method_of

Next = Callable[[HttpRequest], HttpResponse]
REQUESTS = Counter(
    "requests_total",
    "Requests answered, by route, method and class of status.",
    ("route", "method", "status"),
)
DURATIONS = Histogram("request_seconds", "How long requests took, by route.", ("route",))
ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def measure_request(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    """Count a request by route, method and class of status: few values each. The admin's many pages are one route."""
    if not settings.METRICS_TOKEN:
        return
    route = logs.route_of(request)
    route = "/admin/" if route.startswith("/admin/") else route
    REQUESTS.count(route, method_of(request), f"{response.status_code // 100}xx")
    DURATIONS.observe(seconds, route)


class RequestIdMiddleware:
    """Takes the request's X-Request-ID, or makes one, for every log line and for the answer; logs the request."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        client_id = request.META.get("HTTP_X_REQUEST_ID", "")
        if ACCEPTABLE_ID.fullmatch(client_id):
            request_id = client_id
            logs.enter_request(request, logs.redact(client_id))
        else:
            request_id = uuid.uuid4().hex
            logs.enter_request(request, request_id)
        started = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - started
        log_request(request, response, seconds)
        measure_request(request, response, seconds)
        response["X-Request-ID"] = request_id
        if request.method == "HEAD":
            # RFC 9110, section 9.3.2: no body. gunicorn would send it, and the next answer would begin inside.
            if response.streaming:
                response.streaming_content = ()  # type: ignore[attr-defined]
            else:
                response.headers.setdefault("Content-Length", str(len(response.content)))
                response.content = b""
        return response


class OriginMiddleware(CorsMiddleware):
    """The CORS headers of django-cors-headers. Without an `Origin`, as partners send requests, only `Vary` names it."""

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META or not getattr(request, "_cors_enabled", False):
            return super().add_response_headers(request, response)
        patch_vary_headers(response, ("origin",))
        return response


class EtagMiddleware(ConditionalGetMiddleware):
    """Django's: an ETag for each answer to a GET, and 304 where the client has it. Most requests state no condition."""

    CONDITIONS: Final = frozenset(
        {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"}
    )

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "ETag" in response.headers and self.CONDITIONS.isdisjoint(request.META):
            return response
        return super().process_response(request, response)


class ProblemDetailsMiddleware:
    """Under /api/, turns errors that arise outside the views into problem documents, and bounds the body."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not problems.is_api(request):
            return self.get_response(request)
        response = self._refusal(request) or self.get_response(request)
        if response.status_code >= 400 and not response.get("Content-Type", "").startswith(
            problems.MEDIA_TYPE
        ):
            self._put_problem(response)
        if "Cache-Control" not in response:
            # What one person may see is not for a shared cache; what changed something is for none.
            response["Cache-Control"] = (
                "private, no-cache" if request.method in ("GET", "HEAD") else "no-store"
            )
        return response

    @staticmethod
    def _put_problem(response: HttpResponse) -> None:
        """Write a problem document over the body; status, cookies and other headers stay."""
        response.content = problems.problem_response(response.status_code).content
        response["Content-Type"] = problems.MEDIA_TYPE
        response["Content-Length"] = str(len(response.content))
        del response["ETag"]

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Known exceptions of plain Django views, such as a database that is away."""
        if problems.is_api(request):
            return problems.response_of(exception)
        return None if settings.DEBUG else problems.page_of(exception)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        if request.method not in ("GET", "HEAD", "OPTIONS") and not request.path.endswith("/"):
            # Django would redirect, and a redirected POST comes back as a GET.
            return problems.problem_response(404, detail="Addresses end with a slash.")
        if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
            return problems.problem_response(411)  # Django reads no body without its length
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            return problems.problem_response(400)
        limit = settings.MAX_BODY_BYTES
        if request.path in settings.BODY_LIMITS:
            limit = settings.BODY_LIMITS[request.path]
        elif request.content_type == "multipart/form-data":
            limit = settings.MAX_UPLOAD_BYTES + 64 * 1024
        if int(length[:20]) > limit:
            return problems.problem_response(413)
        return None
