"""Headers that tell browsers what an answer of ours may do, on every answer, also those from outside the views."""

from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from .middleware import Next

# An answer of the API, a picture or an error shows itself and loads nothing.
_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

# Pages get all from this site. Styles stand in the page, too: those of Swagger UI, of htmx, and of unfold's charts.
_PAGE: Final = (
    "default-src 'none'; script-src 'self'{script}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# The first of these beginnings that an address has decides.
POLICIES: Final = {
    "/api/docs/": _PAGE.format(script=""),
    "/admin/": _PAGE.format(
        script=" 'unsafe-eval'"
    ),  # Alpine.js, in unfold, evaluates the attributes of the page
    "/mail/": _PAGE.format(script=""),  # only under development: the styles of the mails stand in the page
    "/": _NOTHING,
}

HEADERS: Final = {
    # Django's own middleware sets these on what passes it; refusals and preflights do not.
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": settings.X_FRAME_OPTIONS,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SecurityHeadersMiddleware:
    """Sets the Content-Security-Policy of the address, and each of HEADERS that is not set yet."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if not (
            settings.DEBUG and response.status_code in (404, 500)
        ):  # Django's pages for developers have scripts
            response.headers.setdefault("Content-Security-Policy", policy_of(request.path))
        return response


def policy_of(path: str) -> str:
    """The Content-Security-Policy of an address."""
    return next((policy for start, policy in POLICIES.items() if path.startswith(start)), _NOTHING)
