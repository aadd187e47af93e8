"""Payments that were made elsewhere: they are read, listed, refunded and disputed as any other."""

from __future__ import annotations

from typing import Any

import stripe

from .support import LocalStripeTestCase

PAST = 1_700_000_000
PAID: dict[str, Any] = {
    "id": "pi_old",
    "amount": 3000,
    "currency": "eur",
    "status": "succeeded",
    "created": PAST,
    "paid_at": PAST + 60,
    "metadata": {"order_id": "o-1"},
}
REFUND = {"id": "re_old", "amount": 1000, "status": "succeeded", "created": PAST + 100}
DISPUTE = {
    "id": "du_old",
    "amount": 3000,
    "status": "needs_response",
    "reason": "fraudulent",
    "created": PAST + 200,
    "due_by": PAST + 999,
}


class ImportTests(LocalStripeTestCase):
    def imported(self, **differences: Any) -> dict[str, Any]:
        answer = self.control("POST", "payments", {"payments": [{**PAID, **differences}]})
        self.assertEqual((answer.status, answer.json), (200, {"imported": 1, "known": 0}))
        return self.server.payment_intent("pi_old")

    def test_a_payment_is_as_if_it_had_been_made_here(self) -> None:
        intent = self.imported(refunds=[{**REFUND, "metadata": {"refund_id": "r-1"}}])
        self.assertEqual(
            (intent["status"], intent["amount_received"], intent["created"]), ("succeeded", 3000, PAST)
        )
        self.assertRegex(intent["client_secret"], r"\Api_old_secret_\w{25}\Z")
        own = self.server.payment_intent(self.paid())
        self.assertEqual(intent.keys(), own.keys())
        charge = self.charge_of("pi_old")
        self.assertEqual((charge.amount_refunded, charge.refunded, charge.created), (1000, False, PAST + 60))
        refund = self.client.v1.refunds.retrieve("re_old")
        assert refund.metadata is not None
        self.assertEqual((refund.status, refund.metadata["refund_id"]), ("succeeded", "r-1"))
        self.assertEqual(self.types()[:1], ["payment_intent.created"])  # of the other one

    def test_what_is_left_of_it_can_be_refunded(self) -> None:
        self.imported(refunds=[REFUND, {**REFUND, "id": "re_failed", "status": "failed"}])
        params: Any = {"payment_intent": "pi_old"}
        self.assertEqual(self.client.v1.refunds.create(params).amount, 2000)
        with self.assertRaises(stripe.InvalidRequestError):
            self.client.v1.refunds.create(params)

    def test_its_dispute_goes_on(self) -> None:
        self.imported(disputes=[DISPUTE])
        dispute = self.client.v1.disputes.retrieve("du_old")
        self.assertEqual((dispute.status, dispute.evidence_details.due_by), ("needs_response", PAST + 999))
        with self.assertRaises(stripe.InvalidRequestError) as refused:
            self.client.v1.refunds.create({"payment_intent": "pi_old"})
        self.assertEqual(refused.exception.code, "charge_disputed")
        self.server.close_dispute("du_old", "won")
        self.assertEqual(self.client.v1.refunds.create({"payment_intent": "pi_old"}).amount, 3000)

    def test_a_dispute_has_the_balance_of_its_status(self) -> None:
        for status, transactions, refundable in (
            ("lost", 1, False),
            ("won", 2, True),
            ("warning_closed", 0, True),
        ):
            with self.subTest(status):
                self.server.reset()
                self.imported(disputes=[{**DISPUTE, "status": status}])
                dispute = self.server.disputes()[0]
                self.assertEqual(len(dispute["balance_transactions"]), transactions)
                self.assertEqual(dispute["is_charge_refundable"], refundable)

    def test_one_that_was_never_paid_can_be_paid_or_is_canceled(self) -> None:
        self.imported(status="requires_payment_method")
        self.assertEqual(self.server.pay("pi_old")["status"], "succeeded")
        self.server.reset()
        intent = self.imported(status="canceled")
        self.assertEqual((intent["latest_charge"], intent["canceled_at"]), (None, PAST))

    def test_lists_are_by_the_time_of_the_payments(self) -> None:
        new = self.paid()
        self.imported()
        self.assertEqual(
            [intent.id for intent in self.client.v1.payment_intents.list().data], [new, "pi_old"]
        )
        first: Any = self.client.v1.payment_intents.list({"limit": 1})
        self.assertEqual([intent.id for intent in first.auto_paging_iter()], [new, "pi_old"])

    def test_what_is_known_stays_as_it_is(self) -> None:
        self.imported()
        self.client.v1.refunds.create({"payment_intent": "pi_old"})
        answer = self.control("POST", "payments", {"payments": [PAID, {**PAID, "id": "pi_other"}]})
        self.assertEqual(answer.json, {"imported": 1, "known": 1})
        self.assertEqual(len(self.server.refunds("pi_old")), 1)

    def test_facts_that_cannot_be_are_refused_and_leave_nothing(self) -> None:
        self.server.import_payments([{**PAID, "id": "pi_known", "refunds": [REFUND]}])
        cases: tuple[dict[str, Any], ...] = (
            {"id": "x"},
            {"id": 5},
            {"amount": 0},
            {"amount": True},
            {"amount": "1"},
            {"currency": "xxx"},
            {"status": "perhaps"},
            {"created": None},
            {"metadata": {"a": 1}},
            {"refunds": {}},
            {"refunds": [5]},
            {"refunds": [{**REFUND, "amount": 3001}]},
            {"refunds": [REFUND]},  # another payment's
            {"refunds": [{**REFUND, "id": "re_x", "status": "?"}]},
            {"status": "canceled", "refunds": [{**REFUND, "id": "re_x"}]},
            {"disputes": [{**DISPUTE, "amount": 3001}]},
            {"disputes": [{**DISPUTE, "reason": "?"}]},
        )
        for differences in cases:
            with self.subTest(differences):
                answer = self.control("POST", "payments", {"payments": [{**PAID, **differences}]})
                self.assertEqual(answer.status, 400, answer.json)
                self.assertEqual(len(self.server.charges()), 1)
                self.assertEqual(list(self.server.state.of_kind("payment_intent")), ["pi_known"])
        for body in ({}, {"payments": 5}, {"payments": [5]}):
            self.assertEqual(self.control("POST", "payments", body).status, 400)
