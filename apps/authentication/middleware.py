"""Keeps the admin closed to staff who have not passed the second factor."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from .second_factor import admin_session

# The pages of the admin by which one signs in and out. Those of the second factor look by themselves who may do what.
OPEN: Final = frozenset(
    {
        "admin-login",
        "admin:login",
        "admin:logout",
        "second-factor",
        "second-factor-enrolment",
        "second-factor-passkey-adding",
        "second-factor-passkey-added",
        "second-factor-passkey-proving",
        "second-factor-passkey-proved",
    }
)


class SecondFactorMiddleware:
    """Leads staff who have yet to pass the second factor to its page, whatever of the admin they want.

    By the route, so that each address is closed until it stands in OPEN. Whoever is no staff is left to the admin's own
    check.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or not match.route.startswith("admin/") or match.view_name in OPEN:
            return None
        user = request.user
        if not user.is_authenticated or not user.is_staff or not admin_session.is_missing(request, user):
            return None
        address = reverse("second-factor")
        if request.method in ("GET", "HEAD"):
            address += f"?{urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})}"
        return HttpResponseRedirect(address)
