"""API keys (API reference, "Authentication"): every test key is accepted, no live key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from local_stripe.protocol.errors import StripeError
from local_stripe.runtime.json_types import JsonDict

_TEST_KEY = re.compile(r"(sk|pk)_test_[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Key:
    """The caller's kind of key. ``scope`` is a hash that identifies the key without storing it."""

    publishable: bool
    scope: str


def key_of(authorization: str | None, params: JsonDict) -> Key:
    """The key of a call: Bearer, Basic (as user name), or, for a publishable one, the parameter ``key``.

    Takes ``key`` out of ``params``. Raises StripeError (401) for a missing, live or malformed key, also for a
    secret key sent as a parameter.
    """
    key = params.pop("key", None)
    params.pop("_stripe_version", None)
    text = _from_header(authorization) if authorization else key
    if not text:
        raise _unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    match = _TEST_KEY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _unauthorized(
            f"Invalid API Key provided: {_masked(text)}. The local Stripe takes only keys that begin with "
            "sk_test_ or pk_test_."
        )
    publishable = match[1] == "pk"
    if not publishable and not authorization:
        raise _unauthorized("A secret API key belongs into the Authorization header, not into a parameter.")
    return Key(publishable, hashlib.sha256(text.encode()).hexdigest())


def _from_header(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")[0]
        except (binascii.Error, ValueError):
            return ""
    return ""


def _masked(text: Any) -> str:
    """Enough to recognise a key, too little to use it."""
    text = str(text)
    return f"{text[:8]}{'*' * 8}{text[-4:]}" if len(text) > 16 else "*" * 8


def _unauthorized(message: str) -> StripeError:
    return StripeError(401, message)
