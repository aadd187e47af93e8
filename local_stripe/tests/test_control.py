"""The control API, and the same from Python."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress

import stripe

from local_stripe import StripeError

from .support import PUBLISHABLE_KEY, SECRET_KEY, LocalStripeTestCase, call


class ControlTests(LocalStripeTestCase):
    def test_reset_forgets_everything(self) -> None:
        intent = self.create()
        self.server.add_fault(path="/v1/", status=500)
        self.assertEqual(self.control("POST", "reset").json, {"reset": True})
        self.assertEqual(self.control("GET", "requests").json, {"requests": []})
        self.assertEqual(self.control("GET", "faults").json, {"faults": []})
        self.assertEqual(self.client.v1.events.list().data, [])
        with self.assertRaises(stripe.InvalidRequestError):
            self.client.v1.payment_intents.retrieve(intent.id)

    def test_a_request_that_waits_while_everything_is_forgotten_leaves_nothing(self) -> None:
        self.server.add_fault(method="POST", path="/v1/payment_intents", delay=0.5)
        caller = threading.Thread(target=self.create_and_lose)
        caller.start()
        while self.server.faults():
            time.sleep(0.005)
        self.server.reset()
        caller.join(30)
        self.assertFalse(caller.is_alive())
        self.assertEqual((self.server.events(), self.server.requests()), ([], []))

    def create_and_lose(self) -> None:
        with suppress(stripe.APIConnectionError):
            self.create()

    def test_requests_are_listed_without_any_secret(self) -> None:
        intent = self.client.v1.payment_intents.create(
            {"amount": 1000, "currency": "usd", "metadata": {"order_id": "o-1"}}, {"idempotency_key": "k-1"}
        )
        card = {
            "payment_method_data[type]": "card",
            "payment_method_data[card][number]": "4242424242424242",
            "payment_method_data[card][exp_month]": "12",
            "payment_method_data[card][exp_year]": "2040",
            "payment_method_data[card][cvc]": "987",
        }
        secret = str(intent.client_secret)
        self.browser("POST", f"/v1/payment_intents/{intent.id}/confirm", {"client_secret": secret, **card})
        self.browser("GET", f"/v1/payment_intents/{intent.id}", {"client_secret": secret})
        answer = self.control("GET", "requests")
        create, confirm, retrieve = answer.json["requests"]
        self.assertEqual((create["method"], create["path"]), ("POST", "/v1/payment_intents"))
        self.assertEqual(
            create["params"], {"amount": "1000", "currency": "usd", "metadata": {"order_id": "o-1"}}
        )
        self.assertEqual((create["idempotency_key"], create["status"], create["key"]), ("k-1", 200, "secret"))
        self.assertEqual((confirm["status"], confirm["key"]), (200, "publishable"))
        self.assertEqual((retrieve["method"], retrieve["status"]), ("GET", 200))
        for hidden in (secret, SECRET_KEY, PUBLISHABLE_KEY, "4242424242424242"):
            self.assertNotIn(hidden, answer.body.decode())
        self.assertNotRegex(answer.body.decode(), r"\b987\b")  # as part of a time or an id it says nothing

    def test_a_waiting_authentication_is_settled(self) -> None:
        for outcome, status in (("succeeded", "succeeded"), ("failed", "requires_payment_method")):
            id = self.create(payment_method="pm_card_threeDSecure2Required", confirm=True).id
            answer = self.control("POST", "settle", {"payment_intent": id, "outcome": outcome})
            self.assertEqual((answer.status, answer.json["status"]), (200, status))
            self.assertEqual(self.status_of(id), status)

    def test_nothing_else_is_settled(self) -> None:
        id = self.create().id
        for params, status in (
            ({"payment_intent": id, "outcome": "succeeded"}, 400),
            ({"payment_intent": id, "outcome": "perhaps"}, 400),
            ({"payment_intent": id}, 400),
            ({"payment_intent": "pi_unknown", "outcome": "succeeded"}, 404),
        ):
            with self.subTest(params=params):
                self.assertEqual(self.control("POST", "settle", params).status, status)
        self.assertEqual(self.status_of(id), "requires_payment_method")

    def test_raw_fields_of_an_intent_are_overridden(self) -> None:
        id = self.create().id
        self.server.pay(id)
        fields = {"amount_received": 1, "currency": "eur", "metadata": {}}
        self.assertEqual(self.control("POST", f"payment_intents/{id}", fields).status, 200)
        intent = self.client.v1.payment_intents.retrieve(id)
        self.assertEqual((intent.amount_received, intent.currency), (1, "eur"))
        self.assertEqual(intent.metadata.to_dict(), {})
        self.assertEqual(len(self.types()), 3)
        self.assertEqual(self.control("POST", f"payment_intents/{id}", {"id": "pi_x"}).status, 400)

    def test_python_pays_as_a_browser(self) -> None:
        id = self.create(metadata={"a": "1"}).id
        self.assertEqual(self.server.pay(id)["status"], "succeeded")
        with self.assertRaises(StripeError) as caught:
            self.server.pay(self.create().id, "pm_card_chargeDeclined")
        self.assertEqual((caught.exception.status, caught.exception.code), (402, "card_declined"))
        with self.assertRaises(LookupError):
            self.server.pay("pi_unknown")

    def test_what_python_gets_are_copies(self) -> None:
        id = self.create().id
        self.server.payment_intent(id)["status"] = "succeeded"
        self.server.events()[0]["type"] = "other"
        self.assertEqual(self.status_of(id), "requires_payment_method")
        self.assertEqual(self.types(), ["payment_intent.created"])

    def test_bad_calls_are_refused(self) -> None:
        for method, path, body, status in (
            ("POST", "webhooks/redeliver", b"{}", 400),
            ("POST", "webhooks/redeliver", b'{"event": "evt_unknown"}', 404),
            ("POST", "webhooks/redeliver", b'{"event": "evt_unknown", "times": 1000000}', 400),
            ("POST", "webhooks/redeliver", b'{"event": 5}', 400),
            ("POST", "webhooks/wait", b'{"timeout": true}', 400),
            ("POST", "settle", b"[]", 400),
            ("POST", "settle", b"{", 400),
            ("POST", "settle", b"\xff", 400),
            ("POST", "settle", b"[" * 100_000, 400),
            ("GET", "signed-event", None, 400),
            ("GET", "signed-event?event=evt_unknown", None, 404),
            ("GET", "reset", None, 404),
            ("POST", "nothing", b"{}", 404),
        ):
            with self.subTest(path=path, body=body and body[:50]):
                answer = call(method, f"{self.server.base_url}/_control/{path}", body)
                self.assertEqual(answer.status, status)
                self.assertIn("error", json.loads(answer.body))

    def test_a_web_page_cannot_use_it(self) -> None:
        intent = self.create()
        url = f"{self.server.base_url}/_control/reset"
        self.assertEqual(call("POST", url, b"", {"Origin": "http://evil.example"}).status, 403)
        self.assertEqual(call("POST", url, b"", {"Host": "evil.example"}).status, 403)
        self.assertEqual(self.status_of(intent.id), "requires_payment_method")
