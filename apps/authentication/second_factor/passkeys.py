"""Passkeys: the two ceremonies of WebAuthn, adding one and proving one, for the site at whose address the page is.

What browsers and keys send is checked by django-otp-webauthn and py_webauthn. Each ceremony has a challenge of its own,
kept in the session and used up by the first answer.
"""

import logging
import time
from ipaddress import ip_address
from typing import Any, Final

from django.contrib.sessions.backends.base import SessionBase
from django.db import OperationalError, transaction
from django.http import HttpRequest
from django.http.request import split_domain_port
from django_otp_webauthn.helpers import WebAuthnHelper
from django_otp_webauthn.models import WebAuthnCredential

from apps.authentication.errors import EnrolmentClosed, PasskeyRefused, TooManySecondFactors
from apps.users.models import User

from . import factors

log = logging.getLogger(__name__)

CHALLENGE_SECONDS: Final = 300
_ADDING, _PROVING = "passkey_adding", "passkey_proving"


class Passkeys(WebAuthnHelper):
    """The library's ceremonies, for the host of the request, which ALLOWED_HOSTS has let in.

    The browser signs the host at which it is, so a page elsewhere that passes everything on proves nothing here.
    """

    def get_relying_party_domain(self) -> str:
        return _domain(self.request)

    def get_allowed_origins(self) -> list[str]:
        return [f"{self.request.scheme}://{self.request.get_host()}"]


def are_possible(request: HttpRequest) -> bool:
    """Whether browsers have passkeys for this address: for names over HTTPS, and for localhost, not for numbers."""
    domain = _domain(request)
    try:
        ip_address(domain.strip("[]"))
    except ValueError:
        return request.is_secure() or domain == "localhost"
    return False


def may_prove(request: HttpRequest, user: User) -> bool:
    """Whether the person has a passkey, and browsers have them for this address."""
    return are_possible(request) and factors.has_passkey(user)


def begin_adding(request: HttpRequest, user: User) -> dict[str, Any]:
    """What the browser needs to make a passkey for the person: JSON of `navigator.credentials.create`."""
    options, state = Passkeys(request).register_begin(user=user)
    _store_challenge(request.session, _ADDING, state)
    return dict(options)


def add(request: HttpRequest, user: User, answer: Any) -> WebAuthnCredential:
    """Add the passkey that the browser made. Raises PasskeyRefused, TooManySecondFactors, EnrolmentClosed."""
    state = _pop_challenge(request.session, _ADDING)
    try:
        return factors.add_passkey(
            user=user,
            register=lambda: Passkeys(request).register_complete(user=user, state=state, data=answer),
        )
    except (EnrolmentClosed, TooManySecondFactors, OperationalError):
        raise
    except Exception as error:  # of the libraries, which read what was sent in a dozen formats
        log.warning("A passkey was not added: %s", type(error).__name__)
        raise PasskeyRefused from error


def begin_proving(request: HttpRequest, user: User) -> dict[str, Any]:
    """What the browser needs to prove one of the person's passkeys: JSON of `navigator.credentials.get`."""
    options, state = Passkeys(request).authenticate_begin(user=user, require_user_verification=False)
    _store_challenge(request.session, _PROVING, state)
    return dict(options)


def prove(request: HttpRequest, user: User, answer: Any) -> WebAuthnCredential:
    """The passkey of the person that the browser proved. Raises PasskeyRefused."""
    state = _pop_challenge(request.session, _PROVING)
    try:
        with transaction.atomic():
            passkey = Passkeys(request).authenticate_complete(user=user, state=state, data=answer)
    except OperationalError:
        raise
    except Exception as error:  # as above
        log.warning("A passkey was not accepted: %s", type(error).__name__)
        raise PasskeyRefused from error
    if not passkey.confirmed or passkey.user_id != user.pk:
        raise PasskeyRefused
    return passkey


def _domain(request: HttpRequest) -> str:
    return split_domain_port(request.get_host())[0]


def _store_challenge(session: SessionBase, name: str, state: dict[str, Any]) -> None:
    session[name] = {**state, "until": int(time.time()) + CHALLENGE_SECONDS}


def _pop_challenge(session: SessionBase, name: str) -> dict[str, Any]:
    """The challenge, which is gone from the session whatever comes of the answer."""
    state: dict[str, Any] = session.pop(name, {})
    session.save()
    if state.pop("until", 0) <= time.time():
        raise PasskeyRefused
    return state
