"""A local stand-in for Stripe: a development tool, standard library only, loopback only. See README.md.

from local_stripe import LocalStripe

with LocalStripe(webhook_url="http://127.0.0.1:8000/api/payments/webhook/") as stripe:
    client = StripeClient("sk_test_local", base_addresses={"api": stripe.base_url})
"""

from __future__ import annotations

from .errors import StripeError
from .front_door import DEFAULT_PORT, LocalStripe, SignedEvent

__all__ = ["DEFAULT_PORT", "LocalStripe", "SignedEvent", "StripeError"]
