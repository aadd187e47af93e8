"""Errors as problem documents, RFC 9457: `{"type", "title", "status", "detail", "code", "message"}` and, where useful,
more. `message` is `detail` again, under the name that the web client in the field shows.
"""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from apps.core import errors
from apps.core.logs import redact
from apps.core.metrics import Counter

log = logging.getLogger(__name__)

LONGEST_QUOTE: Final = 500
REFUSALS: Final = Counter("refusals_total", "Requests to the API that a view refused, by code.", ("code",))

MEDIA_TYPE = "application/problem+json"
STATUS_OF: dict[type[errors.DomainError], int] = {
    errors.InvalidError: 400,
    errors.UnauthenticatedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.UnprocessableError: 422,
    errors.TooManyAttempts: 429,
    errors.UnavailableError: 503,
}
CODES: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request can't be understood."),
    401: ("not_authenticated", "Sign in first."),
    403: ("permission_denied", "You may not do this."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address doesn't take that method."),
    411: ("length_required", "Send the body with a Content-Length."),
    413: ("body_too_large", "The body is too large."),
    429: (errors.TooManyAttempts.code, errors.TooManyAttempts.detail),
    500: ("server_error", "Something went wrong on our side. It has been recorded."),
    503: ("service_unavailable", "The service is busy. Please send the request again."),
}
BUSY_RETRY_AFTER = 2


def problem(status: int, code: str = "", detail: str = "", **extra: Any) -> dict[str, Any]:
    """The members of one problem document; `code` and `detail` default to those of the status."""
    default_code, default_detail = CODES.get(status, ("error", HTTPStatus(status).description))
    text = detail or default_detail
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": text,
        "code": code or default_code,
        "message": text,
        **extra,
    }


def problem_response(status: int, code: str = "", detail: str = "", **extra: Any) -> JsonResponse:
    """A problem document as Django's own response, for what fails outside REST framework's views."""
    return JsonResponse(problem(status, code, detail, **extra), status=status, content_type=MEDIA_TYPE)


def status_of(error: errors.DomainError) -> int:
    """The HTTP status of a named error: that of its family in `errors.py`."""
    return next((status for family, status in STATUS_OF.items() if isinstance(error, family)), 400)


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's hook: any exception of a view as a problem document; None leaves it to Django (a 500)."""
    answer = _answer(exception)
    if answer is None:
        return None
    set_rollback()
    # Whatever the view would have answered, YAML or a picture, and whatever is accepted, a problem is JSON.
    request = context["request"]
    request.accepted_renderer = JSONRenderer()
    request.accepted_media_type = MEDIA_TYPE
    document, headers = answer
    REFUSALS.count(document["code"])
    if document["status"] == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return Response(document, status=document["status"], headers=headers, content_type=MEDIA_TYPE)


def response_of(exception: Exception) -> HttpResponse | None:
    """The same for exceptions outside REST framework's views; None where the exception isn't a known one."""
    answer = _answer(exception)
    if answer is None:
        return None
    document, headers = answer
    response = JsonResponse(document, status=document["status"], content_type=MEDIA_TYPE)
    for name, value in headers.items():
        response[name] = value
    return response


def page_of(exception: BaseException | None) -> HttpResponse | None:
    """For pages outside the API: a plain 503 while something that we depend on is away; None for all else."""
    if not isinstance(exception, OperationalError | InterfaceError | errors.UnavailableError):
        return None
    answer = _answer(exception)
    assert answer
    document, headers = answer
    return HttpResponse(
        f"{document['detail']}\n",
        status=document["status"],
        content_type="text/plain; charset=utf-8",
        headers={**headers, "Cache-Control": "no-store"},
    )


def _answer(exception: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    headers: dict[str, str] = {}
    match exception:
        case errors.DomainError():
            if retry_after := getattr(exception, "retry_after", None):
                headers["Retry-After"] = str(retry_after)
            return problem(status_of(exception), exception.code, exception.detail, **exception.extra), headers
        case OperationalError() | InterfaceError():
            log.error("The database did not answer: %s", type(exception.__cause__ or exception).__name__)
            headers["Retry-After"] = str(BUSY_RETRY_AFTER)
            return problem(503), headers
        case Http404():
            return problem(404), headers
        case PermissionDenied():
            return problem(403), headers
        case RequestDataTooBig() | TooManyFieldsSent():
            return problem(413), headers
        case SuspiciousOperation():
            return problem(400), headers
        case exceptions.ValidationError():
            by_field = _fields(exception.get_full_details())
            return problem(400, "validation_error", errors.first_of(by_field), errors=by_field), headers
        case exceptions.APIException():
            if wait := getattr(exception, "wait", None):
                headers["Retry-After"] = str(int(wait) + 1)
            details: Any = exception.get_full_details()
            if not isinstance(details, dict) or "message" not in details:
                details = {"message": exception.default_detail, "code": exception.default_code}
            return problem(exception.status_code, str(details["code"]), str(details["message"])), headers
    return None


def _quoted(text: str) -> str:
    return redact(text)[:LONGEST_QUOTE]  # in this order: a code that was cut is none to be masked


def _fields(details: Any) -> dict[str, list[dict[str, str]]]:
    """REST framework's nested error details as {field: [{code, detail}]}; nested fields are joined by a dot.

    Both may quote what was sent, and so a secret: masked, because clients log what they are answered, and cut.
    """
    fields: dict[str, list[dict[str, str]]] = {}
    for path, leaf in _leaves(details, ""):
        fields.setdefault(_quoted(path) or "non_field_errors", []).append(
            {"code": str(leaf["code"]), "detail": _quoted(str(leaf["message"]))}
        )
    return fields


def _leaves(details: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(details, dict):
        if details.keys() == {"message", "code"} and not isinstance(details["message"], dict | list):
            yield path, details
            return
        for key, value in details.items():
            step = "" if key == "non_field_errors" else str(key)
            yield from _leaves(value, ".".join(part for part in (path, step) if part))
    else:
        for item in details:
            yield from _leaves(item, path)


def is_api(request: HttpRequest) -> bool:
    """Whether the request is for the API, whose errors are problem documents."""
    return request.path.startswith("/api/") or request.path == "/api"
