"""The tokens as cookies that scripts can't read, for browsers that ask for it.

Outside DEBUG their names begin with a prefix that browsers hold them to (RFC 6265bis, section 4.1.3): such a cookie is
taken over HTTPS only, and `__Host-` only from this very host, so that no other host of the domain can plant another
person's session. `__Host-` needs the path "/"; the refresh token goes only to the addresses that take it, and so has
`__Secure-`.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request


@dataclass(frozen=True)
class PrefixedCookie:
    """A cookie of ours: its name, the prefix that this has in production, and the path below which browsers send it."""

    plain_name: str
    prefix: str = "__Host-"
    path: str = "/"

    @property
    def name(self) -> str:
        """The cookie's name; plain HTTP, as in DEBUG, allows no prefix."""
        return self.plain_name if settings.DEBUG else f"{self.prefix}{self.plain_name}"

    def read(self, request: HttpRequest | Request) -> str:
        """The value that the browser sent; empty if none."""
        return str(request.COOKIES.get(self.name, ""))

    def put(self, response: HttpResponse | HttpResponseBase, value: str, lifetime: timedelta) -> None:
        """Give the value to the browser, unseen by scripts."""
        response.set_cookie(
            self.name,
            value,
            max_age=lifetime,
            path=self.path,
            httponly=True,
            secure=not settings.DEBUG,
            samesite="Lax",
        )


ACCESS: Final = PrefixedCookie("access")
REFRESH: Final = PrefixedCookie("refresh", "__Secure-", "/api/auth/")


def put(response: HttpResponse, *, access: str, refresh: str) -> None:
    """Give the tokens to the browser."""
    ACCESS.put(response, access, settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"])
    REFRESH.put(response, refresh, settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"])


def clear(response: HttpResponse) -> None:
    """Take them back."""
    for cookie in (ACCESS, REFRESH):
        response.delete_cookie(cookie.name, path=cookie.path, samesite="Lax")
