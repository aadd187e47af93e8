"""The tokens as cookies that scripts can't read, for browsers that ask for it.

Outside DEBUG their names begin with a prefix that browsers hold them to (RFC 6265bis, section 4.1.3): such a cookie is
taken over HTTPS only, and `__Host-` only from this very host, so that no other host of the domain can plant another
person's session. `__Host-` needs the path "/"; the refresh token goes only to the addresses that take it, and so has
`__Secure-`.
"""

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request


@dataclass(frozen=True)
class TokenCookie:
    """One of the two cookies: its token, its prefix and the path below which browsers send it."""

    token: str
    prefix: str
    path: str

    @property
    def name(self) -> str:
        """The cookie's name; plain HTTP, as in DEBUG, allows no prefix."""
        return self.token if settings.DEBUG else f"{self.prefix}{self.token}"

    def read(self, request: HttpRequest | Request) -> str:
        """The token that the browser sent; empty if none."""
        return str(request.COOKIES.get(self.name, ""))


ACCESS: Final = TokenCookie("access", "__Host-", "/")
REFRESH: Final = TokenCookie("refresh", "__Secure-", "/api/auth/")


def put(response: HttpResponse, *, access: str, refresh: str) -> None:
    """Give the tokens to the browser."""
    for cookie, value in ((ACCESS, access), (REFRESH, refresh)):
        response.set_cookie(
            cookie.name,
            value,
            max_age=settings.SIMPLE_JWT[f"{cookie.token.upper()}_TOKEN_LIFETIME"],
            path=cookie.path,
            httponly=True,
            secure=not settings.DEBUG,
            samesite="Lax",
        )


def clear(response: HttpResponse) -> None:
    """Take them back."""
    for cookie in (ACCESS, REFRESH):
        response.delete_cookie(cookie.name, path=cookie.path, samesite="Lax")
