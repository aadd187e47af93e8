"""Paying: as a browser does, with every kind of card, and the intent's status afterwards."""

from __future__ import annotations

from typing import Any

import stripe

from local_stripe.resources.cards import BY_NUMBER, card_of

from .support import LocalStripeTestCase, call


class BrowserTests(LocalStripeTestCase):
    def test_a_browser_pays_with_the_publishable_key_and_the_client_secret(self) -> None:
        intent = self.create(metadata={"order_id": "o-1"})
        answer = self.confirm(intent)
        self.assertEqual((answer.status, answer.json["status"]), (200, "succeeded"))
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*")
        paid = self.client.v1.payment_intents.retrieve(intent.id)
        self.assertEqual((paid.status, paid.amount_received), ("succeeded", 1000))
        charge = self.client.v1.charges.retrieve(str(paid.latest_charge))
        self.assertEqual((charge.status, charge.paid, charge.captured), ("succeeded", True, True))
        self.assertEqual((charge.amount, charge.amount_captured, charge.currency), (1000, 1000, "usd"))
        self.assertEqual((charge.payment_intent, charge.metadata.to_dict()), (intent.id, {"order_id": "o-1"}))
        self.assertEqual(
            [c.id for c in self.client.v1.charges.list({"payment_intent": intent.id})], [charge.id]
        )

    def test_a_browser_may_send_the_key_as_bearer(self) -> None:
        intent = self.create()
        form = f"client_secret={intent.client_secret}&payment_method=pm_card_mastercard".encode()
        url = f"{self.server.base_url}/v1/payment_intents/{intent.id}/confirm"
        self.assertEqual(
            call("POST", url, form, {"Authorization": "Bearer pk_test_x"}).json["status"], "succeeded"
        )

    def test_a_browser_retrieves_without_seeing_metadata_or_charge(self) -> None:
        intent = self.create(metadata={"order_id": "secret"})
        self.confirm(intent, "pm_card_chargeDeclined")
        answer = self.browser(
            "GET", f"/v1/payment_intents/{intent.id}", {"client_secret": str(intent.client_secret)}
        )
        self.assertEqual((answer.status, answer.json["status"]), (200, "requires_payment_method"))
        self.assertEqual(answer.json["last_payment_error"]["code"], "card_declined")
        self.assertNotIn("latest_charge", answer.json)
        self.assertNotIn(b"metadata", answer.body)

    def test_a_decline_shows_a_browser_no_metadata_either(self) -> None:
        intent = self.create(metadata={"order_id": "secret"})
        self.assertNotIn(b"metadata", self.confirm(intent, "pm_card_chargeDeclined").body)

    def test_the_client_secret_is_needed_and_must_fit(self) -> None:
        intent, other = self.create(), self.create()
        path = f"/v1/payment_intents/{intent.id}"
        for method, suffix in (("GET", ""), ("POST", "/confirm")):
            missing = self.browser(method, path + suffix)
            self.assertEqual((missing.status, missing.json["error"]["code"]), (400, "parameter_missing"))
            for wrong in (str(other.client_secret), "é", f"{intent.client_secret}x"):
                answer = self.browser(method, path + suffix, {"client_secret": wrong})
                self.assertEqual(answer.json["error"]["code"], "payment_intent_invalid_parameter")
                self.assertNotIn(str(intent.client_secret), answer.body.decode())
        self.assertEqual(self.status_of(intent.id), "requires_payment_method")

    def test_a_publishable_key_can_do_nothing_else(self) -> None:
        intent = self.create()
        for method, path in (
            ("POST", "/v1/payment_intents"),
            ("GET", "/v1/payment_intents"),
            ("POST", f"/v1/payment_intents/{intent.id}"),
            ("POST", f"/v1/payment_intents/{intent.id}/cancel"),
            ("GET", "/v1/charges"),
            ("GET", "/v1/events"),
        ):
            with self.subTest(method=method, path=path):
                answer = self.browser(method, path, {"client_secret": str(intent.client_secret)})
                self.assertEqual((answer.status, answer.json["error"]["code"]), (401, "secret_key_required"))
        self.assertEqual(self.types(), ["payment_intent.created"])

    def test_a_browser_makes_a_payment_method_of_a_card_number(self) -> None:
        card = {
            "type": "card", "card[number]": "5555 5555 5555 4444", "card[exp_month]": "12",
            "card[exp_year]": "40", "card[cvc]": "123",
        }  # fmt: skip
        method = self.browser("POST", "/v1/payment_methods", card).json
        self.assertEqual(
            (method["card"]["brand"], method["card"]["last4"], method["card"]["exp_year"]),
            ("mastercard", "4444", 2040),
        )
        self.assertNotIn("number", method["card"])
        self.assertEqual(self.confirm(self.create(), method["id"]).json["status"], "succeeded")
        self.assertEqual(self.client.v1.payment_methods.retrieve(method["id"]).type, "card")


class CardTests(LocalStripeTestCase):
    def pay_with(self, number: str, **card: str) -> Any:
        """Confirm with a raw card, as a browser; gives the answer, and the intent as ``self.intent``."""
        self.intent = self.create()
        details = {"number": number, "exp_month": "12", "exp_year": "2040", "cvc": "123", **card}
        data = {f"payment_method_data[card][{name}]": value for name, value in details.items()}
        secret = {"client_secret": str(self.intent.client_secret), "payment_method_data[type]": "card"}
        return self.browser("POST", f"/v1/payment_intents/{self.intent.id}/confirm", {**secret, **data})

    def test_a_test_card_number_pays(self) -> None:
        self.assertEqual(self.pay_with("4242424242424242").json["status"], "succeeded")

    def test_every_test_number_in_the_table_passes_the_check_of_its_digits(self) -> None:
        for number, card in BY_NUMBER.items():
            with self.subTest(number=number):
                details = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
                self.assertIs(card_of(details), card)
                self.assertEqual(card.last4, number[-4:])

    def test_each_declined_number_says_why(self) -> None:
        for number, code, decline_code in (
            ("4000000000000002", "card_declined", "generic_decline"),
            ("4000000000009995", "card_declined", "insufficient_funds"),
            ("4000000000009987", "card_declined", "lost_card"),
            ("4000000000000069", "expired_card", None),
            ("4000000000000127", "incorrect_cvc", None),
            ("4000000000000119", "processing_error", None),
            ("4111111111111111", "card_declined", "test_mode_live_card"),
        ):
            with self.subTest(number=number):
                answer = self.pay_with(number)
                error = answer.json["error"]
                self.assertEqual((answer.status, error["type"]), (402, "card_error"))
                self.assertEqual((error["code"], error.get("decline_code")), (code, decline_code))
                self.assertEqual(self.status_of(self.intent.id), "requires_payment_method")

    def test_a_mistyped_card_never_reaches_the_bank(self) -> None:
        for card, code in (
            ({"number": "4242424242424241"}, "incorrect_number"),
            ({"number": "42"}, "incorrect_number"),
            ({"exp_month": "13"}, "invalid_expiry_month"),
            ({"exp_year": "2020"}, "invalid_expiry_year"),
            ({"cvc": "1"}, "invalid_cvc"),
        ):
            with self.subTest(card=card):
                answer = self.pay_with(**{"number": "4242424242424242", **card})
                self.assertEqual((answer.status, answer.json["error"]["code"]), (402, code))
                self.assertEqual(self.client.v1.charges.list({"payment_intent": self.intent.id}).data, [])

    def test_every_named_decline_has_its_short_and_long_form(self) -> None:
        for name, code, decline_code in (
            ("chargeDeclined", "card_declined", "generic_decline"),
            ("chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
            ("chargeDeclinedExpiredCard", "expired_card", None),
        ):
            for method in (f"pm_card_{name}", f"pm_card_visa_{name}"):
                with self.subTest(method=method):
                    error = self.confirm(self.create(), method).json["error"]
                    self.assertEqual((error["code"], error.get("decline_code")), (code, decline_code))

    def test_a_declined_intent_tells_why_and_is_payable_with_another_card(self) -> None:
        intent = self.create()
        with self.assertRaises(stripe.CardError) as caught:
            self.client.v1.payment_intents.confirm(
                intent.id, {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
            )
        error = caught.exception.error
        assert error is not None and error.payment_intent is not None
        self.assertEqual((error.code, error.decline_code), ("card_declined", "insufficient_funds"))
        self.assertEqual(error.payment_intent.status, "requires_payment_method")
        declined = self.client.v1.payment_intents.retrieve(intent.id)
        assert declined.last_payment_error is not None
        self.assertEqual(declined.last_payment_error.decline_code, "insufficient_funds")
        self.assertEqual((declined.amount_received, declined.payment_method), (0, None))
        charge = self.client.v1.charges.retrieve(str(declined.latest_charge))
        self.assertEqual(
            (charge.status, charge.paid, charge.failure_code), ("failed", False, "card_declined")
        )
        self.assertEqual(self.types()[1:], ["charge.failed", "payment_intent.payment_failed"])

        self.assertEqual(self.confirm(intent).json["status"], "succeeded")
        paid = self.client.v1.payment_intents.retrieve(intent.id)
        self.assertIsNone(paid.last_payment_error)
        self.assertNotEqual(paid.latest_charge, charge.id)

    def test_an_unknown_payment_method_is_missing(self) -> None:
        intent = self.create()
        error = self.confirm(intent, "pm_nothing").json["error"]
        self.assertEqual((error["code"], error["param"]), ("resource_missing", "payment_method"))
        self.assertEqual(self.types(), ["payment_intent.created"])

    def test_a_paid_intent_is_not_paid_twice(self) -> None:
        intent = self.create()
        self.confirm(intent)
        error = self.confirm(intent).json["error"]
        self.assertEqual(error["code"], "payment_intent_unexpected_state")
        self.assertEqual(error["payment_intent"]["id"], intent.id)
        self.assertEqual(self.types().count("charge.succeeded"), 1)

    def test_confirm_needs_a_payment_method_from_somewhere(self) -> None:
        intent = self.create()
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            self.client.v1.payment_intents.confirm(intent.id)
        self.assertEqual(caught.exception.code, "payment_intent_unexpected_state")
        intent = self.create(payment_method="pm_card_visa")
        self.assertEqual(self.client.v1.payment_intents.confirm(intent.id).status, "succeeded")

    def test_a_server_needs_a_return_url_where_methods_may_redirect(self) -> None:
        intent = self.client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            self.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
        self.assertEqual(caught.exception.param, "return_url")
        paid = self.client.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa", "return_url": "https://example.com/done"}
        )
        self.assertEqual(paid.status, "succeeded")


class AuthenticationTests(LocalStripeTestCase):
    def required(self, method: str = "pm_card_threeDSecure2Required", **more: str) -> tuple[str, str]:
        """An intent that waits for its customer: its id, and the page."""
        answer = self.confirm(self.create(), method, **more).json
        self.assertEqual(answer["status"], "requires_action")
        action = answer["next_action"]
        return answer["id"], action.get("redirect_to_url", {}).get("url") or action["use_stripe_sdk"][
            "stripe_js"
        ]

    def test_the_customer_completes_and_the_intent_is_paid(self) -> None:
        for method in ("pm_card_threeDSecure2Required", "pm_card_authenticationRequired"):
            with self.subTest(method=method):
                self.server.reset()
                id, page = self.required(method)
                shown = call("GET", page)
                self.assertIn(b"Complete", shown.body)
                self.assertIn(b"Fail", shown.body)
                self.assertEqual(self.status_of(id), "requires_action")
                self.assertEqual(call("POST", page, b"outcome=complete").status, 200)
                paid = self.client.v1.payment_intents.retrieve(id)
                self.assertEqual(
                    (paid.status, paid.next_action, paid.amount_received), ("succeeded", None, 1000)
                )
                self.assertEqual(
                    self.types()[1:],
                    ["payment_intent.requires_action", "charge.succeeded", "payment_intent.succeeded"],
                )
                self.assertEqual(call("POST", page, b"outcome=complete").status, 404)

    def test_the_customer_fails_and_may_try_another_card(self) -> None:
        id, page = self.required()
        call("POST", page, b"outcome=fail")
        failed = self.client.v1.payment_intents.retrieve(id)
        assert failed.last_payment_error is not None
        self.assertEqual(failed.status, "requires_payment_method")
        self.assertEqual(failed.last_payment_error.code, "payment_intent_authentication_failure")
        self.assertEqual(self.types()[-1], "payment_intent.payment_failed")
        self.assertEqual(self.client.v1.charges.list({"payment_intent": id}).data, [])
        self.server.pay(id)
        self.assertEqual(self.status_of(id), "succeeded")

    def test_the_customer_is_sent_back_to_the_shop(self) -> None:
        for outcome, result in (("complete", "succeeded"), ("fail", "failed")):
            id, page = self.required(return_url="https://shop.example/done?order=7")
            answer = call("POST", page, f"outcome={outcome}".encode())
            place = answer.headers["Location"]
            self.assertEqual(answer.status, 303)
            self.assertTrue(
                place.startswith(f"https://shop.example/done?order=7&payment_intent={id}&"), place
            )
            self.assertTrue(place.endswith(f"redirect_status={result}"), place)

    def test_a_card_may_be_declined_after_its_authentication(self) -> None:
        id, page = self.required("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
        call("POST", page, b"outcome=complete")
        self.assertEqual(self.status_of(id), "requires_payment_method")
        self.assertEqual(self.types()[-2:], ["charge.failed", "payment_intent.payment_failed"])

    def test_an_old_page_does_not_pay(self) -> None:
        id, page = self.required()
        self.client.v1.payment_intents.cancel(id)
        self.assertEqual(call("POST", page, b"outcome=complete").status, 404)
        self.assertEqual(self.status_of(id), "canceled")

    def test_the_page_refuses_anything_but_its_two_buttons(self) -> None:
        id, page = self.required()
        self.assertEqual(call("POST", page, b"outcome=maybe").status, 400)
        self.assertEqual(call("PUT", page, b"outcome=complete").status, 405)
        self.assertEqual(call("GET", f"{self.server.base_url}/_3ds/guess").status, 404)
        self.assertEqual(self.status_of(id), "requires_action")

    def test_it_declines_where_nobody_can_authenticate(self) -> None:
        for condition in ("off_session", "error_on_requires_action"):
            with self.subTest(condition=condition), self.assertRaises(stripe.CardError) as caught:
                self.create(
                    payment_method="pm_card_authenticationRequired", confirm=True, **{condition: True}
                )
            self.assertEqual(caught.exception.code, "authentication_required")


class DelayedTests(LocalStripeTestCase):
    def processing(self) -> str:
        intent = self.create()
        self.assertEqual(self.confirm(intent, "pm_local_processing").json["status"], "processing")
        return intent.id

    def test_a_delayed_payment_succeeds_later(self) -> None:
        id = self.processing()
        self.assertEqual(self.types()[1:], ["charge.pending", "payment_intent.processing"])
        self.assertEqual(self.client.v1.payment_intents.retrieve(id).amount_received, 0)
        answer = self.control("POST", "settle", {"payment_intent": id, "outcome": "succeeded"})
        self.assertEqual((answer.status, answer.json["status"]), (200, "succeeded"))
        self.assertEqual(self.types()[3:], ["charge.succeeded", "payment_intent.succeeded"])
        self.assertEqual(len(self.client.v1.charges.list({"payment_intent": id}).data), 1)

    def test_a_delayed_payment_fails_later(self) -> None:
        id = self.processing()
        self.control("POST", "settle", {"payment_intent": id, "outcome": "failed"})
        self.assertEqual(self.status_of(id), "requires_payment_method")
        self.assertEqual(self.types()[3:], ["charge.failed", "payment_intent.payment_failed"])

    def test_nothing_else_can_be_done_while_it_is_processing(self) -> None:
        id = self.processing()
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            self.client.v1.payment_intents.confirm(id, {"payment_method": "pm_card_visa"})
        self.assertEqual(caught.exception.code, "payment_intent_unexpected_state")
        with self.assertRaises(stripe.InvalidRequestError):
            self.client.v1.payment_intents.update(id, {"amount": 2000})
        self.assertEqual(self.status_of(id), "processing")
