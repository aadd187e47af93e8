"""The local Stripe in tests: one for each test process, started when the first test needs it."""

import os
from typing import Any

from django.test import SimpleTestCase, override_settings

from apps.payments import gateway
from local_stripe import LocalStripe

SECRET = "whsec_local"
_running: dict[int, LocalStripe] = {}


def local_stripe() -> LocalStripe:
    """The local Stripe of this process (a fork has to have its own)."""
    if os.getpid() not in _running:
        _running[os.getpid()] = LocalStripe(webhook_secret=SECRET, retry_delays=(0.05,) * 5).start()
    return _running[os.getpid()]


class StripeTestCase(SimpleTestCase):
    """A mix-in for tests in which the application talks to the local Stripe, over HTTP as always.

    No webhook is delivered by itself: a test posts those it wants with `deliver`.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stripe = local_stripe()
        self.stripe.set_webhook_endpoint(None)
        self.stripe.reset()
        gateway.pause.end()
        self.addCleanup(gateway.pause.end)
        override = override_settings(STRIPE_API_BASE=self.stripe.base_url, STRIPE_WEBHOOK_SECRETS=[SECRET])
        override.enable()
        self.addCleanup(override.disable)

    def event_of(self, object_id: str, kind: str = "payment_intent.succeeded") -> str:
        """The id of the last event of this kind about this intent, charge, refund or dispute."""
        return str(
            [event["id"] for event in self.stripe.events(kind) if event["data"]["object"]["id"] == object_id][
                -1
            ]
        )

    def deliver(self, event_id: str, client: Any = None) -> Any:
        """Post the event to our webhook, freshly signed, as Stripe does."""
        signed = self.stripe.signed_event(event_id)
        return self.post_event(signed.body, signed.signature, client)

    def post_event(self, body: bytes, signature: str, client: Any = None) -> Any:
        """Post these bytes to our webhook under this signature."""
        return (client or self.client).generic(
            "POST",
            "/api/payments/webhook/",
            body,
            content_type="application/json",
            headers={"Stripe-Signature": signature},
        )
