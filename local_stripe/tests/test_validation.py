"""What is refused, in Stripe's error shape, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

from .support import LocalStripeTestCase


class ValidationTests(LocalStripeTestCase):
    def refused(self, form: dict[str, Any], code: str | None, param: str | None) -> dict[str, Any]:
        """Send a create that must be refused with this code and parameter; gives the error."""
        answer = self.api("POST", "/v1/payment_intents", form)
        error: dict[str, Any] = answer.json["error"]
        self.assertEqual((answer.status, error["type"]), (400, "invalid_request_error"), error)
        self.assertEqual((error.get("code"), error.get("param")), (code, param))
        self.assertEqual(self.types(), [])
        self.assertEqual(self.client.v1.payment_intents.list().data, [])
        return error

    def test_it_refuses_an_unknown_parameter(self) -> None:
        error = self.refused(
            {"amount": 1000, "currency": "usd", "colour": "red"}, "parameter_unknown", "colour"
        )
        self.assertEqual(error["message"], "Received unknown parameter: colour")
        self.assertEqual(error["doc_url"], "https://stripe.com/docs/error-codes/parameter-unknown")

    def test_it_refuses_an_unknown_nested_parameter(self) -> None:
        name = "automatic_payment_methods[colour]"
        form = {"amount": 1000, "currency": "usd", "automatic_payment_methods[enabled]": "true", name: "red"}
        self.refused(form, "parameter_unknown", name)

    def test_it_refuses_rather_than_ignores_what_it_does_not_model(self) -> None:
        form = {"amount": 1000, "currency": "usd", "transfer_data[destination]": "acct_1"}
        self.assertIn("does not model", self.refused(form, "parameter_unknown", "transfer_data")["message"])

    def test_it_refuses_missing_parameters(self) -> None:
        self.refused({"currency": "usd"}, "parameter_missing", "amount")
        self.refused({"amount": 1000}, "parameter_missing", "currency")

    def test_it_refuses_an_empty_parameter(self) -> None:
        self.refused({"amount": "", "currency": "usd"}, "parameter_invalid_empty", "amount")

    def test_it_refuses_what_is_not_a_whole_positive_number(self) -> None:
        for amount in ("10.5", "ten", "٣٠٠", "-100", "0", "1e3", " 100", "1_000", "9" * 30):
            with self.subTest(amount=amount):
                self.refused({"amount": amount, "currency": "usd"}, "parameter_invalid_integer", "amount")

    def test_it_refuses_too_little_and_too_much(self) -> None:
        for amount, currency, code in (
            (49, "usd", "amount_too_small"),
            (29, "gbp", "amount_too_small"),
            (49, "jpy", "amount_too_small"),
            (100_000_000, "usd", "amount_too_large"),
        ):
            with self.subTest(amount=amount, currency=currency):
                self.refused({"amount": amount, "currency": currency}, code, "amount")
        error = self.refused({"amount": 49, "currency": "usd"}, "amount_too_small", "amount")
        self.assertEqual(error["message"], "Amount must be at least $0.50 usd")

    def test_it_takes_the_least_and_the_most(self) -> None:
        for amount, currency in ((50, "usd"), (30, "gbp"), (50, "jpy"), (99_999_999, "usd"), (5000, "kwd")):
            with self.subTest(amount=amount, currency=currency):
                self.assertEqual(self.create(amount=amount, currency=currency).amount, amount)

    def test_it_refuses_a_third_decimal_other_than_zero(self) -> None:
        self.refused({"amount": 5001, "currency": "kwd"}, "parameter_invalid_integer", "amount")

    def test_it_refuses_unknown_and_upper_case_currencies(self) -> None:
        for currency in ("xyz", "USD", "us"):
            with self.subTest(currency=currency):
                self.refused({"amount": 1000, "currency": currency}, None, "currency")

    def test_it_keeps_metadata_within_limits(self) -> None:
        good = {f"metadata[k{n}]": "v" for n in range(49)} | {f"metadata[{'k' * 40}]": "v" * 500}
        answer = self.api("POST", "/v1/payment_intents", {"amount": 1000, "currency": "usd", **good})
        self.assertEqual((answer.status, len(answer.json["metadata"])), (200, 50))
        id = answer.json["id"]
        answer = self.api("POST", f"/v1/payment_intents/{id}", {"metadata[one_more]": "v"})
        self.assertEqual(answer.status, 400)
        self.assertEqual(len(self.server.payment_intent(id)["metadata"]), 50)
        self.server.reset()
        base = {"amount": 1000, "currency": "usd"}
        self.refused({**base, **{f"metadata[k{n}]": "v" for n in range(51)}}, None, "metadata")
        self.refused({**base, f"metadata[{'k' * 41}]": "v"}, None, "metadata")
        self.refused({**base, "metadata[k]": "v" * 501}, None, "metadata[k]")
        self.refused({**base, "metadata[k][deep]": "v"}, None, "metadata[k]")
        self.refused({**base, "metadata": "text"}, None, "metadata")

    def test_it_refuses_contradictions(self) -> None:
        base = {"amount": 1000, "currency": "usd"}
        self.refused({**base, "return_url": "http://127.0.0.1/"}, None, "return_url")
        self.refused({**base, "metadata": "", "metadata[a]": "1"}, None, "metadata")

    def test_it_refuses_what_does_not_exist_here(self) -> None:
        base = {"amount": 1000, "currency": "usd"}
        self.refused({**base, "customer": "cus_1"}, "resource_missing", "customer")
        self.refused({**base, "payment_method": "pm_card_unknown"}, "resource_missing", "payment_method")
        error = self.refused({**base, "allowed_payment_method_types[]": "ideal"}, None, None)
        self.assertIn("No valid payment method types", error["message"])

    def test_it_refuses_bad_booleans_urls_choices_and_lists(self) -> None:
        base = {"amount": 1000, "currency": "usd"}
        self.refused({**base, "confirm": "yes"}, None, "confirm")
        self.refused(
            {**base, "confirm": "true", "return_url": "javascript:alert(1)"}, "url_invalid", "return_url"
        )
        self.refused({**base, "capture_method": "manual"}, None, "capture_method")
        self.refused({**base, "allowed_payment_method_types": "card"}, None, "allowed_payment_method_types")
        self.refused({**base, "receipt_email": "nobody"}, "email_invalid", "receipt_email")

    def test_it_refuses_what_no_statement_can_say(self) -> None:
        base = {"amount": 1000, "currency": "usd"}
        for words in ("12345", "A*B", "it's", "a<b", "Ж", "W" * 23):
            self.refused({**base, "statement_descriptor_suffix": words}, None, "statement_descriptor_suffix")
        intent = self.create(statement_descriptor_suffix="Exam 2026", description="3 × Exam 2026")
        self.server.pay(intent.id)
        (charge,) = self.server.charges(intent.id)
        self.assertEqual(charge["calculated_statement_descriptor"], "LOCAL* Exam 2026")
        self.assertEqual(charge["description"], "3 × Exam 2026")

    def test_it_reads_lists_with_and_without_numbers(self) -> None:
        for form in ("allowed_payment_method_types[]=card", "allowed_payment_method_types[0]=card"):
            answer = self.api("POST", "/v1/payment_intents", f"amount=1000&currency=usd&{form}".encode())
            self.assertEqual(answer.json["allowed_payment_method_types"], ["card"])

    def test_it_keeps_text_as_it_is(self) -> None:
        text = "Zwei Gutscheine: „Frühstück“ für 20 € & <b> = 100 %"
        self.assertEqual(self.create(description=text).description, text)
