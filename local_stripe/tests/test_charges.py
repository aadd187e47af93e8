"""``/v1/charges``."""

from __future__ import annotations

import stripe

from local_stripe import StripeError

from .support import LocalStripeTestCase


class ListTests(LocalStripeTestCase):
    def test_it_lists_the_newest_first_in_pages_and_narrows(self) -> None:
        retried = self.create().id
        with self.assertRaises(StripeError):
            self.server.pay(retried, "pm_card_chargeDeclined")
        self.server.pay(retried)
        other = self.paid()
        ids = [charge["id"] for charge in self.server.charges()][::-1]
        charges = self.client.v1.charges
        page = charges.list({"limit": 2})
        self.assertEqual(([c.id for c in page.data], page.has_more, page.url), (ids[:2], True, "/v1/charges"))
        page = charges.list({"limit": 2, "starting_after": ids[1]})
        self.assertEqual(([c.id for c in page.data], page.has_more), (ids[2:], False))
        page = charges.list({"ending_before": ids[1]})
        self.assertEqual([c.id for c in page.data], ids[:1])
        attempts = charges.list({"payment_intent": retried}).data
        self.assertEqual([(c.id, c.status) for c in attempts], [(ids[1], "succeeded"), (ids[2], "failed")])
        [charge] = charges.list({"payment_intent": other, "expand": ["data.payment_intent"]}).data
        self.assertEqual((charge.id, charge.payment_intent.id), (ids[0], other))  # type: ignore[union-attr]
        self.assertEqual(charges.list({"created": {"lt": charge.created - 3600}}).data, [])

    def test_an_unknown_charge_is_missing(self) -> None:
        error = self.refusal(self.client.v1.charges.retrieve, "ch_unknown")
        self.assertEqual((error.http_status, error.code), (404, "resource_missing"))

    def test_it_has_no_field_that_stripe_python_does_not_know(self) -> None:
        fields = set(self.charge_of(self.paid()).to_dict())
        self.assertEqual(fields - set(stripe.Charge.__annotations__), set())
