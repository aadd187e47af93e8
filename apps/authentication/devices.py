"""Proof that a device has been signed in to an account before: a value that every sign-in gives it.

Guessing from a network then stops those alone who were never signed in there before. The idea is OWASP's "Slow Down
Online Guessing Attacks with Device Cookies". A proof is signed for one account; it names a number of its own, by
which failures are counted, and nothing of the account. It opens nothing: a try at a password is all that it is for.
"""

import secrets
from datetime import timedelta
from typing import Final

from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from apps.users.models import User

from .cookies import PrefixedCookie

COOKIE: Final = PrefixedCookie("device")
LIFETIME: Final = timedelta(days=365)
KEPT: Final = 8  # accounts that a shared computer remembers, those of the latest sign-ins
SEPARATOR: Final = "|"
MAX_LENGTH: Final = 200  # of one proof; ours are under 100


def proof_for(email: str) -> str:
    """A new proof for the account of this address, which somebody has just signed in to."""
    return _signer(email).sign(secrets.token_urlsafe(12))


def device_of(request: HttpRequest, email: str, proof: str | None = None) -> str:
    """The number of a device that was signed in to this account before, by `proof` or its cookie; or ""."""
    for each in (proof or "", *_in_cookie(request)):
        if device := _device(each, email):
            return device
    return ""


def remember(response: HttpResponse | HttpResponseBase, request: HttpRequest, email: str) -> None:
    """Give a browser that has just been signed in to this account a proof, beside those of other accounts."""
    others = [proof for proof in _in_cookie(request) if not _device(proof, email)]
    COOKIE.put(response, SEPARATOR.join([proof_for(email), *others][:KEPT]), LIFETIME)


def _in_cookie(request: HttpRequest) -> list[str]:
    return COOKIE.read(request)[: KEPT * MAX_LENGTH].split(SEPARATOR)[:KEPT]


def _device(proof: str, email: str) -> str:
    if not proof or len(proof) > MAX_LENGTH:
        return ""
    try:
        return _signer(email).unsign(proof, max_age=LIFETIME)
    except BadSignature:
        return ""


def _signer(email: str) -> TimestampSigner:
    """One for each account, so that a proof for another is none."""
    return TimestampSigner(salt=f"{__name__}:{User.objects.normalize_email(email)}")
