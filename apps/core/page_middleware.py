"""What pages need and the API does not: sessions, who is signed in to the admin, messages, refusals of forms.

A request of the API passes most of it untouched: who sent it says its token, and each costs time at every request.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.deprecation import MiddlewareMixin

from apps.core.api import problems

from .middleware import Next


class ForPages(MiddlewareMixin):
    """Has a middleware of Django's leave the API's requests and answers as they are."""

    def __call__(self, request: HttpRequest) -> Any:
        if problems.is_api(request):
            return self.get_response(request)
        return super().__call__(request)


class PageSessionMiddleware(SessionMiddleware):
    """Django's sessions, by cookie. Of the API's answers it looks at those that used one, as health/ready/ does."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if problems.is_api(request) and not request.session.accessed:
            return response
        return super().process_response(request, response)


class PageAuthenticationMiddleware(ForPages, AuthenticationMiddleware):
    """`request.user` by the session; REST framework has its own, by the token."""


class PageMessageMiddleware(ForPages, MessageMiddleware):
    """Django's messages to the next page."""


class SlashMiddleware(CommonMiddleware):
    """Django's: adds the slash that an address lacks, and the length of the answer.

    An address of the API that ends with a slash needs no look at its host, which HostMiddleware took before.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        if problems.is_api(request) and request.path.endswith("/"):
            return None
        return super().process_request(request)


class RejectNulQueryMiddleware:
    """Refuses addresses with a NUL, but for the API's: Django's admin would ask the database with it."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", "") and not problems.is_api(request):
            return HttpResponseBadRequest("Bad request", content_type="text/plain")
        return self.get_response(request)


class AdminRateLimitStatusMiddleware:
    """Gives a page whose form met a limit (the form notes it on the request) the status that says so."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if refused := getattr(request, "refused", None):
            response.status_code = problems.status_of(refused)
            response["Retry-After"] = str(refused.retry_after)
        return response
