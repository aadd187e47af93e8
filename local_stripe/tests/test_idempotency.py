"""Idempotency keys: the first answer again, or a refusal."""

from __future__ import annotations

import threading
from typing import Any

import stripe

from .support import LocalStripeTestCase, client_of

FORM = {"amount": "1000", "currency": "usd"}


class IdempotencyTests(LocalStripeTestCase):
    def post(self, key: str, form: Any = None, path: str = "/v1/payment_intents") -> Any:
        return self.api("POST", path, FORM if form is None else form, {"Idempotency-Key": key})

    def test_the_same_request_gets_the_same_answer(self) -> None:
        first, second = self.post("k-1"), self.post("k-1")
        self.assertEqual((second.status, second.body), (first.status, first.body))
        self.assertNotIn("Idempotent-Replayed", first.headers)
        self.assertEqual(second.headers["Idempotent-Replayed"], "true")
        self.assertNotEqual(second.headers["Request-Id"], first.headers["Request-Id"])
        self.assertEqual(self.types(), ["payment_intent.created"])

    def test_the_sdk_sends_the_key_and_gets_the_same_intent(self) -> None:
        params: Any = {"amount": 1000, "currency": "usd", "metadata": {"b": "2", "a": "1"}}
        ids = {self.client.v1.payment_intents.create(params, {"idempotency_key": "k"}).id for _ in range(3)}
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.server.events()[0]["request"]["idempotency_key"], "k")

    def test_another_key_makes_another_intent(self) -> None:
        self.assertNotEqual(self.post("k-1").json["id"], self.post("k-2").json["id"])

    def test_other_parameters_are_refused(self) -> None:
        self.post("k-1")
        with self.assertRaises(stripe.IdempotencyError) as caught:
            self.client.v1.payment_intents.create(
                {"amount": 2000, "currency": "usd"}, {"idempotency_key": "k-1"}
            )
        self.assertEqual(caught.exception.http_status, 400)
        self.assertEqual(len(self.types()), 1)

    def test_another_path_is_refused(self) -> None:
        other, id = self.create().id, self.create().id
        self.assertEqual(self.post("k-1", {}, f"/v1/payment_intents/{other}/cancel").status, 200)
        answer = self.post("k-1", {}, f"/v1/payment_intents/{id}/cancel")
        self.assertEqual((answer.status, answer.json["error"]["type"]), (400, "idempotency_error"))
        self.assertEqual(self.status_of(id), "requires_payment_method")

    def test_a_refused_request_leaves_the_key_free(self) -> None:
        self.assertEqual(self.post("k-1", {"amount": "1", "currency": "usd"}).status, 400)
        self.assertEqual(self.post("k-1").status, 200)

    def test_a_decline_is_kept(self) -> None:
        form = {**FORM, "confirm": "true", "payment_method": "pm_card_chargeDeclined"}
        form["allowed_payment_method_types[]"] = "card"
        first, second = self.post("k-1", form), self.post("k-1", form)
        self.assertEqual((first.status, second.status), (402, 402))
        self.assertEqual(second.headers["Idempotent-Replayed"], "true")
        self.assertEqual(self.types().count("charge.failed"), 1)

    def test_an_answer_tells_the_past_not_the_present(self) -> None:
        first = self.post("k-1")
        self.server.pay(first.json["id"])
        self.assertEqual(self.post("k-1").json["status"], "requires_payment_method")

    def test_keys_belong_to_the_secret_key(self) -> None:
        first = self.post("k-1").json["id"]
        other = client_of(self.server, "sk_test_other")
        params: Any = {"amount": 1000, "currency": "usd"}
        self.assertNotEqual(other.v1.payment_intents.create(params, {"idempotency_key": "k-1"}).id, first)

    def test_a_running_request_is_in_conflict(self) -> None:
        self.server.add_fault(path="/v1/payment_intents", delay=0.8)
        answers: list[Any] = []
        slow = threading.Thread(target=lambda: answers.append(self.post("k-1")))
        slow.start()
        while not self.server.state.idempotency:
            threading.Event().wait(0.005)
        conflict = self.post("k-1")
        slow.join()
        self.assertEqual((conflict.status, conflict.json["error"]["code"]), (409, "idempotency_key_in_use"))
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(self.post("k-1").body, answers[0].body)

    def test_twenty_at_once_take_effect_once(self) -> None:
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda: answers.append(self.post("k-1"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answers), 20)
        self.assertLessEqual({answer.status for answer in answers}, {200, 409})
        self.assertEqual(len({a.json["id"] for a in answers if a.status == 200}), 1)
        self.assertEqual(len(self.types()), 1)

    def test_a_key_is_at_most_255_characters_long(self) -> None:
        self.assertEqual(self.post("k" * 255).status, 200)
        self.assertEqual(self.post("k" * 256).status, 400)

    def test_a_get_ignores_the_key(self) -> None:
        id = self.post("k-1").json["id"]
        answer = self.api("GET", f"/v1/payment_intents/{id}", headers={"Idempotency-Key": "k-1"})
        self.assertEqual(answer.status, 200)
