"""What becomes of a refund later: it succeeds, fails, or is canceled."""

from __future__ import annotations

from typing import Any

from .support import REFUND_CHANGED, RefundTestCase


class CancelTests(RefundTestCase):
    def test_only_what_waits_for_the_customer_is_canceled(self) -> None:
        intent = self.paid("pm_card_pendingRefund")
        refund = self.give_back(intent, amount=300)
        for status in ("pending", "succeeded"):
            self.assertEqual(self.status_of_refund(refund.id), status)
            error = self.refusal(self.client.v1.refunds.cancel, refund.id)
            self.assertEqual((error.http_status, error.code), (400, None))
            if status == "pending":
                self.server.settle_refund(refund.id)
        waiting = self.server.settle_refund(self.give_back(intent, amount=200).id, "requires_action")
        self.assertEqual(self.charge_of(intent).amount_refunded, 500)
        seen = len(self.types())
        canceled = self.client.v1.refunds.cancel(waiting["id"])
        self.assertEqual(canceled.status, "canceled")
        self.assertEqual(self.charge_of(intent).amount_refunded, 300)
        self.assertEqual(self.new_types(seen), REFUND_CHANGED)

    def test_the_dashboard_cancels_also_what_is_on_its_way(self) -> None:
        intent = self.paid()
        refund = self.server.refund(intent)
        self.assertEqual(self.server.settle_refund(refund["id"], "canceled")["status"], "canceled")
        charge = self.charge_of(intent)
        self.assertEqual((charge.amount_refunded, charge.refunded), (0, False))


class SettleTests(RefundTestCase):
    def test_a_pending_refund_counts_at_once_and_succeeds_later(self) -> None:
        for card in ("pm_card_pendingRefund", "4000000000007726"):
            with self.subTest(card=card):
                intent = self.paid_by(card)
                refund = self.give_back(intent, amount=600)
                self.assertEqual((refund.status, refund.pending_reason), ("pending", "processing"))
                self.assertEqual(self.charge_of(intent).amount_refunded, 600)
                self.refusal(self.give_back, intent, amount=401)
                seen = len(self.types())
                self.assertEqual(self.server.settle_refund(refund.id)["status"], "succeeded")
                self.assertEqual(self.new_types(seen), REFUND_CHANGED)
                self.assertEqual(self.charge_of(intent).amount_refunded, 600)
                self.assertNotIn("pending_reason", self.client.v1.refunds.retrieve(refund.id))

    def test_a_refund_fails_after_it_succeeded_and_can_be_made_again(self) -> None:
        for card in ("pm_card_refundFail", "4000000000005126"):
            with self.subTest(card=card):
                intent = self.paid_by(card)
                refund = self.give_back(intent)
                self.assertEqual((refund.status, self.charge_of(intent).refunded), ("succeeded", True))
                seen = len(self.types())
                answer = self.control("POST", "settle", {"refund": refund.id, "outcome": "failed"})
                self.assertEqual((answer.status, answer.json["status"]), (200, "failed"))
                failed = self.client.v1.refunds.retrieve(refund.id)
                self.assertEqual(failed.failure_reason, "expired_or_canceled_card")
                self.assertTrue(str(failed.failure_balance_transaction).startswith("txn_"))
                charge = self.charge_of(intent)
                self.assertEqual((charge.amount_refunded, charge.refunded), (0, False))
                self.assertEqual(self.new_types(seen), [*REFUND_CHANGED, "refund.failed"])
                self.assertEqual(self.server.events()[-1]["data"]["object"], failed.to_dict())
                self.assertEqual(self.give_back(intent).amount, 1000)

    def test_any_refund_can_be_made_to_fail(self) -> None:
        for card in ("pm_card_visa", "pm_card_pendingRefund"):
            intent = self.paid(card)
            self.assertEqual(
                self.server.settle_refund(self.give_back(intent).id, "failed")["status"], "failed"
            )
            self.assertEqual(self.charge_of(intent).amount_refunded, 0)

    def test_what_is_over_stays_so(self) -> None:
        intent = self.paid("pm_card_pendingRefund")
        for ended in ("failed", "canceled", "succeeded"):
            refund = self.give_back(intent, amount=100).id
            self.server.settle_refund(refund, ended)
            for outcome in ("succeeded",) if ended == "succeeded" else ("succeeded", "failed", "canceled"):
                with self.subTest(ended=ended, outcome=outcome):
                    body = {"refund": refund, "outcome": outcome}
                    self.assertEqual(self.control("POST", "settle", body).status, 400)
            self.assertEqual(self.status_of_refund(refund), ended)
        self.assertEqual(self.charge_of(intent).amount_refunded, 100)

    def test_bad_calls_are_refused(self) -> None:
        refund = self.server.refund(self.paid())["id"]
        for body, status in (
            ({"refund": "re_unknown", "outcome": "failed"}, 404),
            ({"refund": refund, "outcome": "pending"}, 400),
            ({"refund": refund}, 400),
            ({"refund": 5, "outcome": "failed"}, 400),
        ):
            with self.subTest(body=body):
                self.assertEqual(self.control("POST", "settle", body).status, status)

    def paid_by(self, card: str) -> str:
        """Pay with a named method or a number."""
        if not card.isdigit():
            return self.paid(card)
        raw: Any = {"number": card, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        return self.paid(self.client.v1.payment_methods.create({"type": "card", "card": raw}).id)
