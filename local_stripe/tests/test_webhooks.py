"""Signed deliveries: their content, their retries, and how tests control them."""

from __future__ import annotations

import threading
import time
from unittest import mock

import stripe

from local_stripe import LocalStripe

from .support import RETRY_DELAYS, Endpoint, LocalStripeTestCase, call, client_of

SECRET = "whsec_test"


class DeliveryTests(LocalStripeTestCase):
    def endpoint(self, *statuses: int) -> Endpoint:
        """An endpoint that this test's events go to."""
        endpoint = self.enterContext(Endpoint(*statuses))
        self.server.set_webhook_endpoint(endpoint.url, SECRET)
        return endpoint

    def test_events_arrive_signed_and_in_order(self) -> None:
        endpoint = self.endpoint()
        self.server.pay(self.create().id)
        self.assertTrue(self.server.wait_for_webhooks())
        events = [
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET)
            for headers, body in endpoint.received
        ]
        self.assertEqual([event.type for event in events], self.types())
        self.assertEqual(events[-1].data.object.status, "succeeded")
        headers, body = endpoint.received[0]
        self.assertEqual(headers["Content-Type"], "application/json; charset=utf-8")
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body + b" ", headers["Stripe-Signature"], SECRET)
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_other")

    def test_what_fails_comes_again_until_it_is_accepted(self) -> None:
        endpoint = self.endpoint(500, 404)
        self.create()
        self.assertTrue(self.server.wait_for_webhooks())
        self.assertEqual(len({event["id"] for event in endpoint.events}), 1)
        deliveries = self.server.deliveries()
        self.assertEqual([d["status"] for d in deliveries], [500, 404, 200])
        self.assertEqual([d["attempt"] for d in deliveries], [1, 2, 3])
        self.assertEqual([d["delivered"] for d in deliveries], [False, False, True])

    def test_it_gives_up_after_the_last_retry(self) -> None:
        endpoint = self.endpoint(*[500] * 20)
        self.create()
        event = self.server.events()[0]["id"]
        self.assertTrue(self.server.wait_for_webhooks())
        self.assertEqual(len(endpoint.received), 1 + len(RETRY_DELAYS))
        undelivered = self.client.v1.events.list({"delivery_success": False})
        self.assertEqual([e.id for e in undelivered.data], [event])
        self.server.redeliver(event)  # the endpoint still fails
        self.assertEqual(len(self.client.v1.events.list({"delivery_success": False}).data), 1)
        endpoint.statuses.clear()
        self.server.redeliver(event)
        self.assertEqual(self.client.v1.events.list({"delivery_success": False}).data, [])

    def test_each_attempt_is_signed_anew(self) -> None:
        endpoint = self.endpoint()
        self.create()
        self.server.wait_for_webhooks()
        with mock.patch("local_stripe.runtime.webhooks.now", return_value=2_000_000_000):
            self.server.redeliver(self.server.events()[0]["id"])
        first, second = (headers["Stripe-Signature"] for headers, _ in endpoint.received)
        self.assertLess(abs(int(first.split(",")[0][2:]) - time.time()), 5)
        self.assertTrue(second.startswith("t=2000000000,v1="))
        self.assertNotEqual(first.split("v1=")[1], second.split("v1=")[1])

    def test_a_redirect_is_a_failure_and_is_not_followed(self) -> None:
        endpoint = self.endpoint(302)
        self.create()
        self.assertTrue(self.server.wait_for_webhooks())
        self.assertEqual([d["status"] for d in self.server.deliveries()], [302, 200])
        self.assertEqual(len(endpoint.received), 2)

    def test_an_endpoint_that_is_down_is_tried_again(self) -> None:
        with Endpoint() as endpoint:
            pass
        self.server.set_webhook_endpoint(endpoint.url, SECRET)
        self.create()
        self.assertTrue(self.server.wait_for_webhooks())
        deliveries = self.server.deliveries()
        self.assertEqual(len(deliveries), 1 + len(RETRY_DELAYS))
        self.assertEqual((deliveries[0]["status"], deliveries[0]["error"]), (None, "ConnectionRefusedError"))

    def test_without_an_endpoint_nothing_is_sent_and_nothing_is_due(self) -> None:
        self.create()
        self.assertTrue(self.server.wait_for_webhooks(0))
        self.assertEqual(self.server.deliveries(), [])
        self.assertEqual(self.server.events()[0]["pending_webhooks"], 0)

    def test_a_slow_endpoint_does_not_slow_the_api(self) -> None:
        gate = threading.Event()
        with Endpoint(before=gate.wait) as endpoint, LocalStripe(delivery_timeout=60) as server:
            server.set_webhook_endpoint(endpoint.url, SECRET)
            intent = client_of(server).v1.payment_intents.create({"amount": 1000, "currency": "usd"})
            server.pay(intent.id)
            self.assertEqual(server.deliveries(), [])  # not even one was waited for in vain
            self.assertEqual(endpoint.received, [])
            gate.set()
            self.assertTrue(server.wait_for_webhooks())
            self.assertEqual(len(endpoint.received), 3)

    def test_an_endpoint_that_does_not_answer_in_time_is_tried_again(self) -> None:
        gate = threading.Event()
        with (
            Endpoint(before=gate.wait) as endpoint,
            LocalStripe(webhook_url=endpoint.url, delivery_timeout=0.1, retry_delays=(0.01,)) as impatient,
        ):
            call(
                "POST",
                f"{impatient.base_url}/v1/payment_intents",
                b"amount=1000&currency=usd",
                {"Authorization": "Bearer sk_test_x"},
            )
            self.assertTrue(impatient.wait_for_webhooks())
            self.assertEqual([d["error"] for d in impatient.deliveries()], ["TimeoutError"] * 2)
            gate.set()

    def test_paused_deliveries_gather_and_leave_later(self) -> None:
        endpoint = self.endpoint()
        self.assertEqual(self.control("POST", "webhooks/pause").json, {"paused": True})
        self.server.pay(self.create().id)
        self.assertFalse(self.server.wait_for_webhooks())
        self.assertEqual(endpoint.received, [])
        self.assertEqual(self.control("POST", "webhooks/resume").json, {"paused": False, "due": 3})
        self.assertEqual(self.control("POST", "webhooks/wait", {"timeout": 5}).json, {"idle": True})
        self.assertEqual(len(endpoint.received), 3)

    def test_gathered_deliveries_can_be_lost(self) -> None:
        endpoint = self.endpoint()
        self.server.pause_webhooks()
        self.create()
        self.assertEqual(self.control("POST", "webhooks/resume", {"discard": True}).json["due"], 0)
        self.assertTrue(self.server.wait_for_webhooks())
        self.assertEqual(endpoint.received, [])

    def test_tests_deliver_out_of_order_while_paused(self) -> None:
        endpoint = self.endpoint()
        self.server.pause_webhooks()
        self.server.pay(self.create().id)
        for event in reversed(self.server.events()):
            self.server.redeliver(event["id"])
        self.assertEqual([event["type"] for event in endpoint.events], self.types()[::-1])

    def test_an_event_is_delivered_many_times_in_parallel(self) -> None:
        barrier = threading.Barrier(6)
        with Endpoint(before=lambda: barrier.wait(20)) as endpoint:
            self.create()
            self.server.set_webhook_endpoint(endpoint.url, SECRET)
            params = {"event": self.server.events()[0]["id"], "times": 6, "parallel": True}
            answer = self.control("POST", "webhooks/redeliver", params)
            self.assertEqual([d["status"] for d in answer.json["deliveries"]], [200] * 6)
            self.assertEqual(len(endpoint.received), 6)

    def test_a_reset_forgets_what_was_due(self) -> None:
        endpoint = self.endpoint()
        self.server.pause_webhooks()
        self.create()
        self.server.reset()
        self.assertTrue(self.server.wait_for_webhooks())
        self.create()
        self.assertTrue(self.server.wait_for_webhooks())
        self.assertEqual(len(endpoint.received), 1)

    def test_a_signed_event_can_be_posted_by_the_test_itself(self) -> None:
        self.create()
        id = self.server.events()[0]["id"]
        signed = self.control("GET", f"signed-event?event={id}").json
        event = stripe.Webhook.construct_event(signed["body"], signed["signature"], "whsec_local")
        self.assertEqual(event.id, id)
        old = self.server.signed_event(id, timestamp=1_000_000_000)
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(old.body, old.signature, "whsec_local")


class EndpointTests(LocalStripeTestCase):
    def test_the_endpoint_is_set_by_the_control_api(self) -> None:
        with Endpoint() as endpoint:
            params = {"url": endpoint.url, "secret": SECRET}
            self.assertEqual(self.control("POST", "webhooks/endpoint", params).json, {"url": endpoint.url})
            self.create()
            self.assertTrue(self.server.wait_for_webhooks())
            headers, body = endpoint.received[0]
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET)
            deliveries = self.control("GET", "deliveries").json["deliveries"]
            self.assertEqual([d["url"] for d in deliveries], [endpoint.url])

    def test_a_bad_address_is_refused(self) -> None:
        for url in ("ftp://127.0.0.1/", "nonsense", "http://", "http://127.0.0.1:nine/"):
            with self.subTest(url=url):
                self.assertEqual(self.control("POST", "webhooks/endpoint", {"url": url}).status, 400)
                with self.assertRaises(ValueError):
                    LocalStripe(webhook_url=url)
