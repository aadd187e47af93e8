"""The tokens as cookies that scripts can't read, for browsers that ask for it."""

from typing import Final

from django.conf import settings
from django.http import HttpResponse

ACCESS: Final = "access"
REFRESH: Final = "refresh"
PATHS: Final = {ACCESS: "/api/", REFRESH: "/api/auth/"}


def put(response: HttpResponse, *, access: str, refresh: str) -> None:
    """Give the tokens to the browser; the refresh token only for the addresses that take it."""
    for name, token in ((ACCESS, access), (REFRESH, refresh)):
        response.set_cookie(
            name,
            token,
            max_age=settings.SIMPLE_JWT[f"{name.upper()}_TOKEN_LIFETIME"],
            path=PATHS[name],
            httponly=True,
            secure=not settings.DEBUG,
            samesite="Lax",
        )


def clear(response: HttpResponse) -> None:
    """Take them back."""
    for name, path in PATHS.items():
        response.delete_cookie(name, path=path, samesite="Lax")
