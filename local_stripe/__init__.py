"""A local stand-in for Stripe: a development tool, standard library only, loopback only. See README.md.

from local_stripe import LocalStripe

with LocalStripe(webhook_url="http://127.0.0.1:8000/api/payments/webhook/") as stripe:
    client = StripeClient("sk_test_local", base_addresses={"api": stripe.base_url})
"""

from __future__ import annotations

from local_stripe.emulator import SignedEvent
from local_stripe.protocol.errors import StripeError
from local_stripe.service import DEFAULT_PORT, LocalStripe

__all__ = ["DEFAULT_PORT", "LocalStripe", "SignedEvent", "StripeError"]
