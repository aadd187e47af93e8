"""Who sends a request: by an access token in the Authorization header, else in a cookie."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from apps.users.models import User

from . import cookies, selectors, tokens
from .errors import CsrfFailed, TokenInvalid
from .rate_limits import invalid_tokens


@dataclass(frozen=True)
class AuthContext:
    """`request.auth`: the session, and whether it was a cookie that named it."""

    sid: uuid.UUID
    by_cookie: bool


class SessionTokenAuthentication(BaseAuthentication):
    """An access token of a live session. The header wins over the cookie.

    A bad header is always refused (401 `token_invalid`); a bad cookie, which the browser sends unasked, is
    passed over, so that it never bars a public page. A request that may change something and is signed in by
    cookie needs Django's CSRF token (403 `csrf_failed`).
    """

    def authenticate(self, request: Request) -> tuple[User, AuthContext] | None:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() == "bearer":
            token = token.strip()
            try:
                with invalid_tokens(request, token):
                    session = selectors.live_session(tokens.read_access(token))
            except TokenInvalid as error:
                raise AuthenticationFailed(error.detail, error.code) from error
            return session.user, AuthContext(session.pk, by_cookie=False)
        cookie = cookies.ACCESS.read(request)
        if not cookie:
            return None
        try:
            session = selectors.live_session(tokens.read_access(cookie))
        except TokenInvalid:
            return None
        require_csrf_token(request)
        return session.user, AuthContext(session.pk, by_cookie=True)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def require_csrf_token(request: Request) -> None:
    """Raises PermissionDenied (403 `csrf_failed`) for an unsafe request without Django's CSRF token."""
    check = CSRFCheck(_never_called)
    check.process_request(request._request)
    try:
        reason: Any = check.process_view(request._request, _never_called, (), {})
    except (BadRequest, MultiPartParserError, LookupError, ValueError):  # a form that can't be read
        reason = "unreadable"
    if reason:
        raise PermissionDenied(CsrfFailed.detail, CsrfFailed.code)


def _never_called(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


class SessionTokenScheme(OpenApiAuthenticationExtension):
    """The two ways to sign in, for the OpenAPI document: either is enough. A cookie that may change something needs
    the CSRF token beside it."""

    target_class = SessionTokenAuthentication
    name = ["bearerAuth", "cookieAuth", "csrfToken"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        by_cookie: dict[str, list[Any]] = {"cookieAuth": []}
        if auto_schema.method not in SAFE_METHODS:
            by_cookie["csrfToken"] = []
        return [{"bearerAuth": []}, by_cookie]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "`access` of the answer to register, login or token/refresh.",
            },
            {
                "type": "apiKey",
                "in": "cookie",
                "name": cookies.ACCESS.name,
                "description": "What register and login set where `use_cookies` is true.",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-CSRFToken",
                "description": f"The value of the cookie `{settings.CSRF_COOKIE_NAME}`.",
            },
        ]
