"""``/v1/events``."""

from __future__ import annotations

from unittest import mock

import stripe

from .support import LocalStripeTestCase


class EventTests(LocalStripeTestCase):
    def test_an_event_has_stripes_shape(self) -> None:
        intent = self.create(metadata={"order_id": "o-1"})
        event = self.client.v1.events.retrieve(self.server.events()[0]["id"])
        self.assertTrue(event.id.startswith("evt_"))
        self.assertEqual((event.object, event.api_version), ("event", "2026-10-28.endive"))
        self.assertEqual((event.type, event.livemode), ("payment_intent.created", False))
        self.assertEqual(event.data.object.to_dict(), intent.to_dict())
        assert event.request is not None
        self.assertTrue(str(event.request.id).startswith("req_"))

    def test_an_event_keeps_the_state_of_its_moment(self) -> None:
        intent = self.create()
        self.server.pay(intent.id)
        first = self.server.events("payment_intent.created")[0]
        self.assertEqual(first["data"]["object"]["status"], "requires_payment_method")
        last = self.server.events("payment_intent.succeeded")[0]
        self.assertEqual(last["data"]["object"]["status"], "succeeded")

    def test_it_lists_the_newest_first_in_pages(self) -> None:
        for _ in range(3):
            self.create()
        ids = [event["id"] for event in self.server.events()][::-1]
        page = self.client.v1.events.list({"limit": 2})
        self.assertEqual(([e.id for e in page.data], page.has_more), (ids[:2], True))
        page = self.client.v1.events.list({"ending_before": ids[2]})
        self.assertEqual(([e.id for e in page.data], page.has_more), (ids[:2], False))

    def test_it_narrows_by_type(self) -> None:
        self.server.pay(self.create().id)
        for params, types in (
            ({"type": "payment_intent.created"}, ["payment_intent.created"]),
            ({"type": "charge.*"}, ["charge.succeeded"]),
            (
                {"types": ["payment_intent.succeeded", "charge.succeeded"]},
                ["payment_intent.succeeded", "charge.succeeded"],
            ),
            ({"type": "refund.*"}, []),
        ):
            with self.subTest(params=params):
                page = self.client.v1.events.list(params)  # type: ignore[arg-type]
                self.assertEqual([event.type for event in page.data], types)

    def test_it_finds_what_became_of_the_money(self) -> None:
        intent = self.paid()
        self.server.refund(intent, 100)
        self.server.dispute(intent)
        for params, types in (
            ({"type": "refund.*"}, ["refund.created"]),
            (
                {"type": "charge.dispute.*"},
                ["charge.dispute.funds_withdrawn", "charge.dispute.created"],
            ),
            ({"types": ["refund.created", "charge.refunded"]}, ["charge.refunded", "refund.created"]),
            ({"types": ["refund.created"], "delivery_success": False}, []),
        ):
            with self.subTest(params=params):
                page = self.client.v1.events.list(params)  # type: ignore[arg-type]
                self.assertEqual([event.type for event in page.data], types)

    def test_it_narrows_by_time(self) -> None:
        for moment in (100, 200):
            with mock.patch("local_stripe.runtime.state.now", return_value=moment):
                self.create()
        page = self.client.v1.events.list({"created": {"gt": 100}})
        self.assertEqual([event.created for event in page.data], [200])

    def test_an_unknown_event_is_missing(self) -> None:
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            self.client.v1.events.retrieve("evt_unknown")
        self.assertEqual((caught.exception.http_status, caught.exception.code), (404, "resource_missing"))
