"""Refunds: full, in parts, refused, listed, and made in the Dashboard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import stripe

from local_stripe import StripeError

from .support import REFUND_CHANGED, RefundTestCase

CREATED = ["refund.created", "charge.refunded"]


class CreateTests(RefundTestCase):
    def test_it_refunds_all_in_stripes_shape(self) -> None:
        intent = self.paid()
        seen = len(self.types())
        refund = self.give_back(intent, reason="requested_by_customer", metadata={"refund_id": "r-1"})
        charge = self.charge_of(intent)
        self.assertTrue(refund.id.startswith("re_"))
        self.assertEqual((refund.object, refund.status), ("refund", "succeeded"))
        self.assertEqual((refund.amount, refund.currency), (1000, "usd"))
        self.assertEqual((refund.payment_intent, refund.charge), (intent, charge.id))
        self.assertEqual(refund.payment_method, charge.payment_method)
        self.assertEqual(refund.reason, "requested_by_customer")
        assert refund.metadata is not None
        self.assertEqual(refund.metadata.to_dict(), {"refund_id": "r-1"})
        self.assertEqual((charge.amount_refunded, charge.refunded, charge.paid), (1000, True, True))
        self.assertEqual((charge.status, self.status_of(intent)), ("succeeded", "succeeded"))
        self.assertEqual(self.new_types(seen), CREATED)
        created, refunded = self.server.events()[-2:]
        self.assertEqual(created["data"]["object"], refund.to_dict())
        self.assertEqual(refunded["data"]["object"]["amount_refunded"], 1000)
        self.assertNotIn("refunds", refunded["data"]["object"])

    def test_it_has_no_field_that_stripe_python_does_not_know(self) -> None:
        for card, outcome in (("pm_card_visa", "failed"), ("pm_card_pendingRefund", None)):
            refund = self.server.refund(self.paid(card))
            fields = set(self.server.settle_refund(refund["id"], outcome) if outcome else refund)
            self.assertEqual(fields - set(stripe.Refund.__annotations__), set())
            self.assertGreater(len(fields), 17)

    def test_a_charge_can_be_named_instead(self) -> None:
        charge = self.charge_of(self.paid())
        refund = self.client.v1.refunds.create({"charge": charge.id, "amount": 1})
        self.assertEqual((refund.charge, refund.payment_intent), (charge.id, charge.payment_intent))

    def test_parts_are_refunded_until_nothing_is_left(self) -> None:
        intent = self.paid()
        for amount, together, whole in ((300, 300, False), (300, 600, False), (None, 1000, True)):
            more = {} if amount is None else {"amount": amount}
            self.assertEqual(self.give_back(intent, **more).amount, amount or 400)
            charge = self.charge_of(intent)
            self.assertEqual((charge.amount_refunded, charge.refunded), (together, whole))
        error = self.refusal(self.give_back, intent, amount=1)
        self.assertEqual((error.http_status, error.code), (400, "charge_already_refunded"))
        self.assertIn(f"Charge {charge.id} has already been refunded.", str(error))

    def test_more_than_is_left_is_refused_in_stripes_words(self) -> None:
        for currency, amount, refunded, words in (
            ("usd", 1001, 0, "Refund amount ($10.01) is greater than charge amount ($10.00)"),
            ("usd", 701, 300, "Refund amount ($7.01) is greater than unrefunded amount on charge ($7.00)"),
            ("eur", 701, 300, "Refund amount (€7.01) is greater than unrefunded amount on charge (€7.00)"),
            ("jpy", 701, 300, "Refund amount (¥701) is greater than unrefunded amount on charge (¥700)"),
            (
                "chf",
                701,
                300,
                "Refund amount (7.01 chf) is greater than unrefunded amount on charge (7.00 chf)",
            ),
        ):
            with self.subTest(currency=currency, refunded=refunded):
                intent = self.paid(currency=currency)
                if refunded:
                    self.give_back(intent, amount=refunded)
                error = self.refusal(self.give_back, intent, amount=amount)
                self.assertEqual((error.http_status, error.code, error.param), (400, None, "amount"))
                self.assertEqual(error.user_message, words)

    def test_what_was_not_paid_is_not_refunded(self) -> None:
        declined = self.create().id
        with self.assertRaises(StripeError):
            self.server.pay(declined, "pm_card_chargeDeclined")
        failed_charge = self.server.charges(declined)[0]["id"]
        waiting = self.create(payment_method="pm_local_processing", confirm=True).id
        for params in (
            {"payment_intent": self.create().id},
            {"payment_intent": waiting},
            {"payment_intent": declined},
            {"charge": failed_charge},
        ):
            with self.subTest(params=params):
                error = self.refusal(self.client.v1.refunds.create, params)
                self.assertEqual(error.http_status, 400)
                self.assertIn("does not have a successful charge to refund.", str(error))

    def test_a_failed_charge_does_not_stand_for_the_one_that_paid(self) -> None:
        intent = self.create().id
        with self.assertRaises(StripeError):
            self.server.pay(intent, "pm_card_chargeDeclined")
        self.server.pay(intent)
        failed, _ = self.server.charges(intent)
        self.refusal(self.client.v1.refunds.create, {"charge": failed["id"]})

    def test_bad_parameters_are_refused(self) -> None:
        intent = self.paid()
        charge = self.charge_of(intent).id
        for params, status, code, param in (
            ({}, 400, None, None),
            ({"payment_intent": intent, "charge": charge}, 400, None, "charge"),
            ({"payment_intent": "pi_unknown"}, 404, "resource_missing", "payment_intent"),
            ({"charge": "ch_unknown"}, 404, "resource_missing", "id"),
            ({"payment_intent": intent, "amount": 0}, 400, "parameter_invalid_integer", "amount"),
            ({"payment_intent": intent, "amount": -5}, 400, "parameter_invalid_integer", "amount"),
            ({"payment_intent": intent, "amount": "1.5"}, 400, "parameter_invalid_integer", "amount"),
            ({"payment_intent": intent, "reason": "expired_uncaptured_charge"}, 400, None, "reason"),
            ({"payment_intent": intent, "colour": "red"}, 400, "parameter_unknown", "colour"),
            (
                {"payment_intent": intent, "reverse_transfer": True},
                400,
                "parameter_unknown",
                "reverse_transfer",
            ),
            ({"payment_intent": intent, "metadata": {"k" * 41: "v"}}, 400, None, "metadata"),
            ({"payment_intent": intent, "expand": ["charge.colour"]}, 400, None, "expand"),
        ):
            with self.subTest(params=params):
                error = self.refusal(self.client.v1.refunds.create, params)
                self.assertEqual((error.http_status, error.code, error.param), (status, code, param))

    def test_a_publishable_key_can_neither_make_nor_see_any(self) -> None:
        intent = self.paid()
        refund = self.server.refund(intent, 1)
        seen = self.types()
        for method, path in (
            ("POST", "/v1/refunds"),
            ("GET", "/v1/refunds"),
            ("GET", f"/v1/refunds/{refund['id']}"),
            ("POST", f"/v1/refunds/{refund['id']}"),
            ("POST", f"/v1/refunds/{refund['id']}/cancel"),
        ):
            with self.subTest(method=method, path=path):
                answer = self.browser(method, path, {"payment_intent": intent} if method == "POST" else None)
                self.assertEqual((answer.status, answer.json["error"]["code"]), (401, "secret_key_required"))
        self.assertEqual(self.types(), seen)

    def test_the_same_key_refunds_once(self) -> None:
        intent = self.paid()
        first, second = (
            self.client.v1.refunds.create(
                {"payment_intent": intent, "amount": 400}, {"idempotency_key": "refund-1"}
            )
            for _ in range(2)
        )
        self.assertEqual(first.id, second.id)
        self.assertEqual(self.charge_of(intent).amount_refunded, 400)
        with self.assertRaises(stripe.IdempotencyError):
            self.client.v1.refunds.create(
                {"payment_intent": intent, "amount": 500}, {"idempotency_key": "refund-1"}
            )
        self.assertEqual(len(self.server.refunds()), 1)

    def test_refunds_at_once_never_exceed_what_was_paid(self) -> None:
        for _ in range(10):
            intent = self.paid()
            with ThreadPoolExecutor(8) as together:
                form = {"payment_intent": intent, "amount": "300"}
                answers = list(together.map(lambda form: self.api("POST", "/v1/refunds", form), [form] * 8))
            self.assertEqual(sorted(answer.status for answer in answers), [200] * 3 + [400] * 5)
            self.assertEqual(self.charge_of(intent).amount_refunded, 900)

    def test_a_refusal_is_kept_under_its_key(self) -> None:
        intent = self.paid()
        dispute = self.server.dispute(intent)["id"]
        for _ in range(2):
            with self.assertRaises(stripe.InvalidRequestError) as caught:
                self.client.v1.refunds.create({"payment_intent": intent}, {"idempotency_key": "refund-1"})
            self.assertEqual(caught.exception.code, "charge_disputed")
            if self.server.disputes()[0]["status"] != "won":
                self.server.close_dispute(dispute, "won")
        self.assertEqual(self.give_back(intent).status, "succeeded")

    def test_fraud_is_noted_on_the_charge(self) -> None:
        intent = self.paid()
        self.give_back(intent, reason="fraudulent", amount=1)
        self.assertEqual(self.charge_of(intent).to_dict()["fraud_details"], {"user_report": "fraudulent"})

    def test_it_expands(self) -> None:
        intent = self.paid()
        refund = self.give_back(intent, amount=1, expand=["charge", "payment_intent.latest_charge"])
        assert isinstance(refund.charge, stripe.Charge) and isinstance(
            refund.payment_intent, stripe.PaymentIntent
        )
        self.assertEqual((refund.charge.amount_refunded, refund.payment_intent.id), (1, intent))
        other = self.give_back(intent, amount=2)
        charge = self.client.v1.charges.retrieve(refund.charge.id, {"expand": ["refunds"]})
        assert charge.refunds is not None
        self.assertEqual([r.id for r in charge.refunds.data], [other.id, refund.id])
        self.assertEqual(charge.refunds.url, f"/v1/charges/{charge.id}/refunds")
        paid = self.client.v1.payment_intents.list({"expand": ["data.latest_charge.refunds"]})
        nested: Any = paid.data[0].latest_charge
        self.assertEqual(nested.refunds.data[0].charge, charge.id)
        self.assertNotIn("refunds", self.charge_of(intent))


class UpdateTests(RefundTestCase):
    def test_metadata_changes_and_nothing_else(self) -> None:
        refund = self.give_back(self.paid(), metadata={"a": "1", "b": "2"})
        seen = len(self.types())
        changed = self.client.v1.refunds.update(refund.id, {"metadata": {"b": "", "c": "3"}})
        assert changed.metadata is not None
        self.assertEqual(changed.metadata.to_dict(), {"a": "1", "c": "3"})
        self.assertEqual(self.new_types(seen), REFUND_CHANGED)
        error = self.refusal(self.client.v1.refunds.update, refund.id, {"amount": 1})
        self.assertEqual(error.code, "parameter_unknown")

    def test_an_unknown_refund_is_missing(self) -> None:
        refunds = self.client.v1.refunds
        for call in (refunds.retrieve, refunds.update, refunds.cancel):
            error = self.refusal(call, "re_unknown")
            self.assertEqual((error.http_status, error.code), (404, "resource_missing"))


class DashboardTests(RefundTestCase):
    def test_it_is_refunded_without_the_application(self) -> None:
        intent = self.paid()
        seen, calls = len(self.types()), len(self.server.requests())
        body = {"payment_intent": intent, "amount": 400, "reason": "duplicate", "metadata": {"by": "staff"}}
        answer = self.control("POST", "refunds", body)
        self.assertEqual(
            (answer.status, answer.json["status"], answer.json["amount"]), (200, "succeeded", 400)
        )
        rest = self.server.refund(intent)
        self.assertEqual(rest["amount"], 600)
        self.assertEqual(self.new_types(seen), CREATED * 2)
        self.assertEqual(self.server.events()[-1]["request"], {"id": None, "idempotency_key": None})
        self.assertEqual(len(self.server.requests()), calls)
        first = self.client.v1.refunds.retrieve(answer.json["id"])
        self.assertEqual((first.reason, first.to_dict()["metadata"]), ("duplicate", {"by": "staff"}))
        self.assertEqual(self.server.refunds(intent), [first.to_dict(), rest])
        self.assertEqual(self.server.refunds(self.paid()), [])

    def test_what_stripe_refuses_is_refused_there_too(self) -> None:
        intent = self.paid()
        for body, status in (
            ({"payment_intent": intent, "amount": 1001}, 400),
            ({"payment_intent": intent, "amount": 0}, 400),
            ({"payment_intent": intent, "amount": True}, 400),
            ({"payment_intent": intent, "reason": "because"}, 400),
            ({"payment_intent": intent, "metadata": {"a": 1}}, 400),
            ({"payment_intent": self.create().id}, 400),
            ({"payment_intent": "pi_unknown"}, 404),
            ({}, 400),
        ):
            with self.subTest(body=body):
                self.assertEqual(self.control("POST", "refunds", body).status, status)
        self.assertEqual(self.server.refunds(), [])
        with self.assertRaises(StripeError) as caught:
            self.server.refund(intent, 1001)
        self.assertEqual(caught.exception.param, "amount")


class ListTests(RefundTestCase):
    def test_it_lists_the_newest_first_in_pages_and_narrows(self) -> None:
        one, other = self.paid(), self.paid()
        ids = [self.give_back(one if turn % 2 else other, amount=10).id for turn in range(5)][::-1]
        refunds = self.client.v1.refunds
        page = refunds.list({"limit": 2})
        self.assertEqual(([r.id for r in page.data], page.has_more, page.url), (ids[:2], True, "/v1/refunds"))
        page = refunds.list({"limit": 2, "starting_after": ids[1]})
        self.assertEqual(([r.id for r in page.data], page.has_more), (ids[2:4], True))
        page = refunds.list({"limit": 2, "ending_before": ids[4]})
        self.assertEqual(([r.id for r in page.data], page.has_more), (ids[2:4], True))
        self.assertEqual([r.id for r in refunds.list({"limit": 1}).auto_paging_iter()], ids)
        self.assertEqual([r.id for r in refunds.list({"payment_intent": one}).data], [ids[1], ids[3]])
        charge = self.charge_of(other).id
        self.assertEqual([r.id for r in refunds.list({"charge": charge}).data], [ids[0], ids[2], ids[4]])
        self.assertEqual(refunds.list({"charge": charge, "payment_intent": one}).data, [])
        listed = refunds.list({"limit": 1, "expand": ["data.payment_intent"]}).data[0]
        self.assertEqual(listed.payment_intent.id, other)  # type: ignore[union-attr]

    def test_it_narrows_by_time(self) -> None:
        intent = self.paid()
        ids = {}
        for moment in (100, 200, 300):
            with mock.patch("local_stripe.resources.refunds.now", return_value=moment):
                ids[moment] = self.give_back(intent, amount=10).id
        refunds = self.client.v1.refunds.list({"created": {"gte": 200, "lt": 300}})
        self.assertEqual([r.id for r in refunds.data], [ids[200]])
