"""Faults: before the effect, after it, once or more often."""

from __future__ import annotations

import time
from typing import Any

import stripe

from local_stripe.runtime.records import Fault

from .support import LocalStripeTestCase, call

PARAMS: Any = {"amount": 1000, "currency": "usd"}


class FaultTests(LocalStripeTestCase):
    def fault(self, **fault: Any) -> None:
        self.assertEqual(self.control("POST", "faults", fault).status, 200)

    def create_once(self, key: str = "k-1") -> stripe.PaymentIntent:
        return self.client.v1.payment_intents.create(PARAMS, {"idempotency_key": key})

    def test_a_status_comes_before_any_effect_and_is_not_kept(self) -> None:
        for status, error in (
            (500, stripe.APIError),
            (503, stripe.APIError),
            (429, stripe.RateLimitError),
        ):
            with self.subTest(status=status):
                self.server.reset()
                self.fault(method="POST", path="/v1/payment_intents", status=status)
                with self.assertRaises(error):
                    self.create_once()
                self.assertEqual(self.types(), [])
                self.create_once()
                self.assertEqual(self.types(), ["payment_intent.created"])

    def test_a_status_may_be_kept_under_the_key(self) -> None:
        self.fault(status=500, stored=True)
        for _ in range(2):
            with self.assertRaises(stripe.APIError) as caught:
                self.create_once()
            self.assertEqual(caught.exception.http_status, 500)
        self.assertEqual(self.types(), [])

    def test_it_strikes_as_often_as_asked(self) -> None:
        self.fault(status=500, times=2)
        statuses = [self.api("POST", "/v1/payment_intents", PARAMS).status for _ in range(3)]
        self.assertEqual(statuses, [500, 500, 200])

    def test_it_strikes_only_what_it_means(self) -> None:
        self.fault(method="POST", path="^/v1/payment_intents/[^/]+/cancel$", status=500)
        intent = self.create()
        self.assertEqual(self.status_of(intent.id), "requires_payment_method")
        with self.assertRaises(stripe.APIError):
            self.client.v1.payment_intents.cancel(intent.id)
        self.assertEqual(self.client.v1.payment_intents.cancel(intent.id).status, "canceled")

    def test_it_strikes_only_the_method_it_means(self) -> None:
        self.fault(method="GET", status=503)
        intent = self.create()
        with self.assertRaises(stripe.APIError):
            self.client.v1.payment_intents.retrieve(intent.id)

    def test_a_prefix_takes_what_lies_below(self) -> None:
        intent = self.create()
        self.fault(method="GET", path="/v1/payment_intents", status=503)
        with self.assertRaises(stripe.APIError):
            self.client.v1.payment_intents.retrieve(intent.id)

    def test_a_dropped_request_has_no_effect_and_no_answer(self) -> None:
        self.fault(method="POST", path="/v1/payment_intents", drop=True)
        with self.assertRaises(stripe.APIConnectionError):
            self.create_once()
        self.assertEqual(self.types(), [])
        self.assertIsNone(self.server.requests()[0]["status"])
        self.create_once()
        self.assertEqual(self.types(), ["payment_intent.created"])

    def test_an_error_after_the_effect_is_kept_under_the_key(self) -> None:
        for value, status in ((True, 500), (502, 502)):
            with self.subTest(value=value):
                self.server.reset()
                self.fault(method="POST", path="/v1/payment_intents", effect_then_error=value)
                for _ in range(2):
                    with self.assertRaises(stripe.APIError) as caught:
                        self.create_once()
                    self.assertEqual(caught.exception.http_status, status)
                self.assertEqual(self.types(), ["payment_intent.created"])
                self.assertTrue(self.server.requests()[1]["replayed"])

    def test_an_answer_lost_on_the_way_is_given_again_under_the_key(self) -> None:
        self.fault(method="POST", path="/v1/payment_intents", effect_then_error="drop")
        with self.assertRaises(stripe.APIConnectionError):
            self.create_once()
        self.assertEqual(self.types(), ["payment_intent.created"])
        intent = self.create_once()
        self.assertEqual(self.server.events()[0]["data"]["object"]["id"], intent.id)
        self.assertEqual(len(self.types()), 1)

    def test_a_delay_comes_before_the_effect_or_after_it(self) -> None:
        # Nobody waits for these delays to end: stopping the server ends them.
        for when, effect in (("delay", []), ("effect_then_delay", ["payment_intent.created"])):
            with self.subTest(when=when):
                self.server.reset()
                self.fault(path="/v1/payment_intents", **{when: 60})
                with self.assertRaises(OSError):
                    self.create_impatiently()
                deadline = time.monotonic() + 30
                while self.types() != effect:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)

    def create_impatiently(self) -> None:
        url, key = f"{self.server.base_url}/v1/payment_intents", {"Authorization": "Bearer sk_test_x"}
        call("POST", url, b"amount=1000&currency=usd", key, timeout=0.2)

    def test_an_error_after_a_refund_gives_the_money_back_once(self) -> None:
        for value, error in ((True, stripe.APIError), ("drop", stripe.APIConnectionError)):
            with self.subTest(value=value):
                self.server.reset()
                intent = self.paid()
                self.fault(method="POST", path="/v1/refunds", effect_then_error=value)
                with self.assertRaises(error):
                    self.refund_once(intent)
                [refund_object] = self.server.refunds(intent)
                if value == "drop":
                    self.assertEqual(self.refund_once(intent).id, refund_object["id"])
                else:
                    with self.assertRaises(stripe.APIError):
                        self.refund_once(intent)
                self.assertTrue(self.server.requests()[-1]["replayed"])
                self.assertEqual([r["id"] for r in self.server.refunds(intent)], [refund_object["id"]])
                refunds = self.client.v1.refunds.list({"payment_intent": intent}).data
                self.assertEqual([refund.id for refund in refunds], [refund_object["id"]])

    def test_an_error_may_say_when_to_come_back(self) -> None:
        self.fault(method="POST", path="/v1/payment_intents", status=429, retry_after=3)
        with self.assertRaises(stripe.RateLimitError) as refused:
            self.client.v1.payment_intents.create({"amount": 400, "currency": "usd"})
        self.assertEqual((refused.exception.headers or {}).get("retry-after"), "3")
        self.client.v1.payment_intents.create({"amount": 400, "currency": "usd"})

    def test_a_rate_refuses_what_goes_above_it_and_nothing_else(self) -> None:
        self.fault(method="POST", path="/v1/payment_intents", status=429, above_per_second=3)
        statuses = [self.api("POST", "/v1/payment_intents", PARAMS).status for _ in range(60)]
        self.assertEqual((statuses[:3], set(statuses)), ([200] * 3, {200, 429}))
        self.assertEqual(self.api("GET", "/v1/payment_intents").status, 200)
        self.assertEqual(self.control("POST", "faults", {"above_per_second": 1}).status, 400)

    def test_a_rate_is_of_any_second(self) -> None:
        fault = Fault(above_per_second=2)
        spared = [fault.spares(now) for now in (10.0, 10.8, 10.9, 11.0, 11.7, 11.8, 11.9)]
        self.assertEqual(spared, [True, True, False, True, False, True, False])

    def test_a_fault_before_a_refund_leaves_the_money(self) -> None:
        for fault, error in (
            ({"status": 500}, stripe.APIError),
            ({"status": 429}, stripe.RateLimitError),
            ({"drop": True}, stripe.APIConnectionError),
        ):
            with self.subTest(fault=fault):
                self.server.reset()
                intent = self.paid()
                self.fault(method="POST", path="/v1/refunds", **fault)
                with self.assertRaises(error):
                    self.refund_once(intent)
                self.assertEqual(self.server.refunds(), [])
                self.assertEqual(self.charge_of(intent).amount_refunded, 0)
                self.assertEqual(self.refund_once(intent).amount, 400)

    def refund_once(self, intent: str) -> stripe.Refund:
        return self.client.v1.refunds.create(
            {"payment_intent": intent, "amount": 400}, {"idempotency_key": "refund-1"}
        )

    def test_a_delay_holds_a_refund_up_or_only_its_answer(self) -> None:
        # A webhook then overtakes the answer. As above, nobody waits for the end.
        for when, refunds in (("delay", 0), ("effect_then_delay", 1)):
            with self.subTest(when=when):
                self.server.reset()
                intent = self.paid()
                self.fault(path="/v1/refunds", **{when: 60})
                url, key = f"{self.server.base_url}/v1/refunds", {"Authorization": "Bearer sk_test_x"}
                with self.assertRaises(OSError):
                    call("POST", url, f"payment_intent={intent}".encode(), key, timeout=0.2)
                deadline = time.monotonic() + 30
                while len(self.server.refunds()) != refunds:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)

    def test_every_new_route_can_be_struck(self) -> None:
        intent = self.paid()
        refund = self.server.refund(intent, 100)["id"]
        dispute = self.server.dispute(intent)["id"]
        refunds, disputes = self.client.v1.refunds, self.client.v1.disputes
        before = self.server.events()
        for struck in (
            lambda: refunds.retrieve(refund),
            lambda: refunds.list(),
            lambda: refunds.update(refund, {"metadata": {"a": "1"}}),
            lambda: refunds.cancel(refund),
            lambda: disputes.retrieve(dispute),
            lambda: disputes.list(),
            lambda: disputes.update(dispute, {"metadata": {"a": "1"}}),
            lambda: disputes.close(dispute),
            lambda: self.client.v1.charges.list(),
            lambda: self.client.v1.events.list(),
        ):
            self.fault(path="^/v1/(refunds|disputes|charges|events)", status=503)
            with self.assertRaises(stripe.APIError):
                struck()
        self.assertEqual((self.server.faults(), self.server.events()), ([], before))
        self.fault(method="POST", path="/v1/disputes/", effect_then_error=True)
        with self.assertRaises(stripe.APIError):
            disputes.close(dispute)
        self.assertEqual(disputes.retrieve(dispute).status, "lost")

    def test_a_nonsensical_fault_is_refused(self) -> None:
        for fault in (
            {},
            {"path": "/v1/"},
            {"status": 200},
            {"status": "500"},
            {"status": True},
            {"drop": 1},
            {"delay": -1},
            {"delay": "1"},
            {"status": 500, "times": 0},
            {"status": 500, "path": "^("},
            {"effect_then_error": "explode"},
            {"colour": "red"},
        ):
            with self.subTest(fault=fault):
                self.assertEqual(self.control("POST", "faults", fault).status, 400)
        self.assertEqual(self.server.faults(), [])
