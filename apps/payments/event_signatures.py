"""Whether an event was signed by Stripe for us just now, and if not, why not: for the log, not for the sender."""

import logging
import re
import time
from collections.abc import Callable
from typing import Final

import stripe
from django.conf import settings

from .errors import SignatureInvalid

log = logging.getLogger(__name__)

TOLERANCE: Final = 300  # seconds


def verified_body(read_body: Callable[[], bytes], signature: str) -> bytes:
    """The body of a delivery, read only if `signature` (the header Stripe-Signature) is of just now.

    Raises SignatureInvalid, and logs why.
    """
    if not signature:
        raise _refused("it has no Stripe-Signature: it is not from Stripe, or a proxy drops the header")
    signed_at = re.search(r"(?:^|,)t=(\d{1,15})(?:,|$)", signature, re.ASCII)
    if signed_at is None:
        raise _refused("its Stripe-Signature has no time")
    # A time five minutes away, in either direction (Stripe's docs, "Webhooks", verify signatures).
    age = int(time.time()) - int(signed_at[1])
    if abs(age) > TOLERANCE:
        when = f"{age} s ago" if age > 0 else f"{-age} s in the future"
        raise _refused(f"it was signed {when}: the clock of this machine is wrong, or it was sent again")
    body = read_body()
    if not any(_is_signed(body, signature, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS):
        raise _refused(
            "it was signed with another secret than STRIPE_WEBHOOK_SECRET: each endpoint at Stripe has one of its own"
        )
    return body


def _refused(why: str) -> SignatureInvalid:
    log.warning("Stripe event refused: %s", why)
    return SignatureInvalid()


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        # Empty secrets are refused by the library: they would accept forgeries.
        return bool(stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE))
    except (stripe.SignatureVerificationError, UnicodeError):  # Stripe signs UTF-8 only
        return False
