"""Delayed steps: the second status of refunds, and the decision on evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import stripe

from local_stripe import LocalStripe

from .support import RETRY_DELAYS, LocalStripeTestCase, client_of


class LaterTests(LocalStripeTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = LocalStripe(retry_delays=RETRY_DELAYS, settle_after=0).start()
        cls.addClassCleanup(cls.server.stop)
        cls.client = client_of(cls.server)

    def ends_as(self, status: str, things: Callable[[], list[Any]]) -> None:
        """Wait until the last of the things has this status."""
        deadline = time.monotonic() + 30
        while things()[-1]["status"] != status:
            self.assertLess(time.monotonic(), deadline, "It did not come by itself.")
            time.sleep(0.005)

    def test_refunds_get_their_second_step(self) -> None:
        for card, outcome, refunded in (
            ("pm_card_pendingRefund", "succeeded", 400),
            ("pm_card_refundFail", "failed", 0),
        ):
            with self.subTest(card=card):
                intent = self.paid(card)
                refund = self.client.v1.refunds.create({"payment_intent": intent, "amount": 400}).id
                self.ends_as(outcome, self.server.refunds)
                self.assertEqual(self.client.v1.refunds.retrieve(refund).status, outcome)
                self.assertEqual(self.charge_of(intent).amount_refunded, refunded)

    def test_evidence_decides(self) -> None:
        for words, inquiry, status in (
            ("winning_evidence", False, "won"),
            ("losing_evidence", False, "lost"),
            ("winning_evidence", True, "warning_closed"),
            ("losing_evidence", True, "warning_closed"),
            ("escalate_inquiry_evidence", True, "needs_response"),
        ):
            with self.subTest(words=words, inquiry=inquiry):
                intent = self.paid()
                id = self.server.dispute(intent, inquiry=inquiry)["id"]
                evidence: Any = {"evidence": {"uncategorized_text": words}, "submit": True}
                answered = self.client.v1.disputes.update(id, evidence).status
                self.assertEqual(answered, "warning_under_review" if inquiry else "under_review")
                self.ends_as(status, self.server.disputes)

    def test_other_evidence_stays_under_review(self) -> None:
        plain, staged, last = (self.server.dispute(self.paid())["id"] for _ in range(3))
        update = self.client.v1.disputes.update
        update(plain, {"evidence": {"uncategorized_text": "Please."}})
        update(staged, {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": False})
        update(last, {"evidence": {"uncategorized_text": "winning_evidence"}})
        self.ends_as("won", self.server.disputes)
        self.assertEqual(
            [d["status"] for d in self.server.disputes()], ["under_review", "needs_response", "won"]
        )

    def test_an_ordinary_refund_has_none(self) -> None:
        first = self.server.refund(self.paid())
        self.server.refund(self.paid("pm_card_pendingRefund"))
        self.ends_as("succeeded", self.server.refunds)
        self.assertEqual(self.server.refunds()[0], first)


class PatienceTests(LocalStripeTestCase):
    def test_nothing_comes_by_itself_unless_asked(self) -> None:
        refund = self.server.refund(self.paid("pm_card_pendingRefund"))
        dispute = self.server.dispute(self.paid())["id"]
        self.client.v1.disputes.update(dispute, {"evidence": {"uncategorized_text": "winning_evidence"}})
        time.sleep(0.05)
        self.assertEqual(self.server.refunds()[0], refund)
        self.assertEqual(self.server.disputes()[0]["status"], "under_review")

    def test_somebody_may_be_faster_and_a_reset_forgets(self) -> None:
        with LocalStripe(settle_after=0.1) as server, self.assertNoLogs("local_stripe"):
            refunds = client_of(server).v1.refunds

            def paid() -> str:
                params: Any = {"amount": 1000, "currency": "usd", "allowed_payment_method_types": ["card"]}
                intent = client_of(server).v1.payment_intents.create(params).id
                server.pay(intent, "pm_card_pendingRefund")
                return str(intent)

            removed = str(server.refund(paid())["id"])
            server.reset()
            first, second = paid(), paid()
            with (
                server.state.lock
            ):  # the scheduler waits, so that the cancellation comes first on any machine
                canceled, last = (str(server.refund(intent)["id"]) for intent in (first, second))
                server.settle_refund(canceled, "canceled")
            deadline = time.monotonic() + 30
            while refunds.retrieve(last).status != "succeeded":
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            self.assertEqual(refunds.retrieve(canceled).status, "canceled")
            with self.assertRaises(stripe.InvalidRequestError):
                refunds.retrieve(removed)
            self.assertEqual(len([e for e in server.events() if e["type"] == "refund.updated"]), 2)

    def test_a_nonsensical_time_is_refused(self) -> None:
        for seconds in (-1, float("nan"), 1e9):
            with self.subTest(seconds=seconds), self.assertRaises(ValueError):
                LocalStripe(settle_after=seconds)
