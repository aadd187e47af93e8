"""Disputes: by card, by control, with evidence, closed and escalated."""

from __future__ import annotations

from unittest import mock

import stripe

from local_stripe import StripeError

from .support import LocalStripeTestCase

OPENED = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
UPDATED = ["charge.dispute.updated", "charge.updated"]
CLOSED = ["charge.dispute.closed", "charge.updated"]


class OpenTests(LocalStripeTestCase):
    def test_a_chargeback_has_stripes_shape_and_takes_the_money(self) -> None:
        intent = self.paid()
        seen = len(self.types())
        id = self.server.dispute(intent)["id"]
        dispute = self.client.v1.disputes.retrieve(id)
        charge = self.charge_of(intent)
        self.assertTrue(dispute.id.startswith("du_"))
        self.assertEqual((dispute.object, dispute.status), ("dispute", "needs_response"))
        self.assertEqual((dispute.amount, dispute.currency, dispute.reason), (1000, "usd", "fraudulent"))
        self.assertEqual((dispute.charge, dispute.payment_intent), (charge.id, intent))
        self.assertIs(dispute.is_charge_refundable, False)
        self.assertEqual(dispute.metadata.to_dict(), {})
        [withdrawal] = dispute.balance_transactions
        self.assertEqual((withdrawal.amount, withdrawal.fee, withdrawal.net), (-1000, 1500, -2500))
        self.assertEqual((withdrawal.type, withdrawal.source), ("adjustment", id))
        details = dispute.evidence_details
        assert details.due_by is not None
        self.assertEqual((details.has_evidence, details.submission_count), (False, 0))
        self.assertTrue(7 * 86400 < details.due_by - dispute.created < 10 * 86400)
        self.assertEqual((charge.disputed, charge.paid, charge.amount_refunded), (True, True, 0))
        self.assertEqual(self.status_of(intent), "succeeded")
        self.assertEqual(self.new_types(seen), OPENED)
        self.assertEqual(self.server.events()[-1]["data"]["object"], dispute.to_dict())

    def test_it_has_no_field_that_stripe_python_does_not_know(self) -> None:
        dispute = self.server.dispute(self.paid())
        self.assertEqual(set(dispute) - set(stripe.Dispute.__annotations__), set())
        for name, known in (
            ("evidence", stripe.Dispute.Evidence),
            ("evidence_details", stripe.Dispute.EvidenceDetails),
            ("payment_method_details", stripe.Dispute.PaymentMethodDetails),
        ):
            self.assertEqual(set(dispute[name]) - set(known.__annotations__), set())
        [transaction] = dispute["balance_transactions"]
        self.assertEqual(set(transaction), set(stripe.BalanceTransaction.__annotations__) - {"OBJECT_NAME"})

    def test_cards_dispute_by_themselves(self) -> None:
        for method, number, status, reason in (
            ("pm_card_createDispute", "4000000000000259", "needs_response", "fraudulent"),
            (
                "pm_card_createDisputeProductNotReceived",
                "4000000000002685",
                "needs_response",
                "product_not_received",
            ),
            ("pm_card_createDisputeInquiry", "4000000000001976", "warning_needs_response", "general"),
        ):
            raw = {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2040}}
            for card in (method, self.client.v1.payment_methods.create(raw).id):  # type: ignore[arg-type]
                with self.subTest(card=card, number=number):
                    seen = len(self.types())
                    intent = self.paid(card)
                    [dispute] = self.server.disputes(intent)
                    self.assertEqual((dispute["status"], dispute["reason"]), (status, reason))
                    opened = OPENED if status == "needs_response" else OPENED[:1]
                    self.assertEqual(
                        self.new_types(seen),
                        ["payment_intent.created", "charge.succeeded", *opened, "payment_intent.succeeded"],
                    )
                    self.assertEqual(
                        (self.status_of(intent), self.charge_of(intent).disputed), ("succeeded", True)
                    )

    def test_a_part_can_be_disputed_for_a_reason(self) -> None:
        params = {"payment_intent": self.paid(), "amount": 400, "reason": "product_not_received"}
        answer = self.control("POST", "disputes", params)
        self.assertEqual((answer.status, answer.json["amount"]), (200, 400))
        self.assertEqual(answer.json["reason"], "product_not_received")

    def test_what_was_refunded_is_not_disputed(self) -> None:
        intent = self.paid()
        self.server.refund(intent, 400)
        self.assertEqual(self.server.dispute(intent)["amount"], 600)
        refunded = self.paid()
        self.server.refund(refunded)
        for amount in (None, 400):
            with self.assertRaises(StripeError):
                self.server.dispute(refunded, amount)
        self.assertEqual(self.server.disputes(refunded), [])

    def test_a_pending_refund_stops_when_the_bank_takes_the_money(self) -> None:
        intent = self.paid("pm_card_pendingRefund")
        self.server.refund(intent, 400)
        seen = len(self.types())
        self.assertEqual(self.server.dispute(intent)["amount"], 1000)
        [refund] = self.server.refunds(intent)
        self.assertEqual(
            (refund["status"], refund["failure_reason"]), ("failed", "charge_for_pending_refund_disputed")
        )
        self.assertEqual(self.charge_of(intent).amount_refunded, 0)
        self.assertEqual(
            self.new_types(seen), ["refund.updated", "charge.refund.updated", "refund.failed", *OPENED]
        )

    def test_what_cannot_be_disputed_is_refused(self) -> None:
        disputed, paid = self.paid("pm_card_createDispute"), self.paid()
        seen = self.types()
        for params, status in (
            ({"payment_intent": disputed}, 400),
            ({"payment_intent": paid, "amount": 1001}, 400),
            ({"payment_intent": paid, "amount": 0}, 400),
            ({"payment_intent": paid, "reason": "whim"}, 400),
            ({"payment_intent": paid, "inquiry": 1}, 400),
            ({"payment_intent": "pi_unknown"}, 404),
        ):
            with self.subTest(params=params):
                self.assertEqual(self.control("POST", "disputes", params).status, status)
        self.assertEqual(self.types(), seen)
        self.assertEqual(self.control("POST", "disputes", {"payment_intent": self.create().id}).status, 400)


class RefundWhileDisputedTests(LocalStripeTestCase):
    def refund(self, intent: str, amount: int = 100) -> stripe.Refund:
        return self.client.v1.refunds.create({"payment_intent": intent, "amount": amount})

    def test_a_chargeback_forbids_refunds_until_it_is_won(self) -> None:
        intent = self.paid("pm_card_createDispute")
        [dispute] = self.server.disputes(intent)
        error = self.refusal(self.refund, intent)
        self.assertEqual((error.http_status, error.code), (400, "charge_disputed"))
        self.assertIn("has been charged back; cannot issue a refund.", str(error))
        won = self.server.close_dispute(dispute["id"], "won")
        self.assertIs(won["is_charge_refundable"], True)
        self.assertEqual(self.refund(intent).status, "succeeded")

    def test_a_lost_one_forbids_them_for_good(self) -> None:
        intent = self.paid("pm_card_createDispute")
        self.server.close_dispute(self.server.disputes(intent)[0]["id"], "lost")
        self.assertEqual(self.refusal(self.refund, intent).code, "charge_disputed")

    def test_one_that_was_lost_over_a_part_leaves_the_rest(self) -> None:
        intent = self.paid()
        self.server.close_dispute(self.server.dispute(intent, 400)["id"], "lost")
        self.assertIn("is greater than", str(self.refusal(self.refund, intent, 601)))
        self.assertEqual(self.refund(intent, 600).status, "succeeded")
        self.assertEqual(self.refusal(self.refund, intent).code, "charge_disputed")

    def test_an_inquiry_allows_them_until_it_escalates(self) -> None:
        intent = self.paid("pm_card_createDisputeInquiry")
        self.assertEqual(self.refund(intent).status, "succeeded")
        self.server.escalate_dispute(self.server.disputes(intent)[0]["id"])
        self.assertEqual(self.refusal(self.refund, intent).code, "charge_disputed")


class CloseTests(LocalStripeTestCase):
    def test_a_won_one_gives_the_money_back(self) -> None:
        dispute = self.server.dispute(self.paid(), 400)["id"]
        seen = len(self.types())
        answer = self.control("POST", f"disputes/{dispute}/close", {"outcome": "won"})
        self.assertEqual((answer.status, answer.json["status"]), (200, "won"))
        amounts = [t["amount"] for t in answer.json["balance_transactions"]]
        self.assertEqual(
            (amounts, sum(t["net"] for t in answer.json["balance_transactions"])), ([-400, 400], 0)
        )
        self.assertEqual(self.new_types(seen), ["charge.dispute.funds_reinstated", *CLOSED])
        self.assertEqual(self.server.events()[-2]["data"]["object"]["status"], "won")

    def test_a_lost_one_keeps_it(self) -> None:
        for give_in in (
            lambda id: self.server.close_dispute(id, "lost"),
            lambda id: self.client.v1.disputes.close(id),
        ):
            intent = self.paid()
            dispute = self.server.dispute(intent)["id"]
            seen = len(self.types())
            self.assertEqual(give_in(dispute)["status"], "lost")
            self.assertEqual(len(self.server.disputes(intent)[0]["balance_transactions"]), 1)
            self.assertEqual(self.new_types(seen), CLOSED)

    def test_an_inquiry_is_closed_without_a_movement(self) -> None:
        intent = self.paid()
        inquiry = self.server.dispute(intent, inquiry=True)
        self.assertEqual(inquiry["status"], "warning_needs_response")
        self.assertIs(inquiry["is_charge_refundable"], True)
        seen = len(self.types())
        closed = self.server.close_dispute(inquiry["id"], "warning_closed")
        self.assertEqual((closed["status"], closed["balance_transactions"]), ("warning_closed", []))
        self.assertEqual(self.new_types(seen), CLOSED)
        self.assertIs(self.charge_of(intent).disputed, True)

    def test_each_kind_ends_in_its_own_way_and_once(self) -> None:
        chargeback = self.server.dispute(self.paid())["id"]
        inquiry = self.server.dispute(self.paid(), inquiry=True)["id"]
        closed = self.server.dispute(self.paid())["id"]
        self.server.close_dispute(closed, "won")
        seen = self.types()
        for id, outcome, status in (
            (chargeback, "warning_closed", 400),
            (inquiry, "won", 400),
            (inquiry, "lost", 400),
            (closed, "lost", 400),
            (chargeback, "perhaps", 400),
            ("du_unknown", "won", 404),
        ):
            with self.subTest(id=id, outcome=outcome):
                answer = self.control("POST", f"disputes/{id}/close", {"outcome": outcome})
                self.assertEqual(answer.status, status)
        for call in (self.client.v1.disputes.close, self.client.v1.disputes.update):
            error = self.refusal(call, closed)
            self.assertEqual((error.user_message, error.code), ("This dispute is already closed", None))
        self.assertEqual(self.types(), seen)

    def test_a_charge_can_be_disputed_again_after_it_was_won(self) -> None:
        intent = self.paid()
        self.server.close_dispute(self.server.dispute(intent, 400)["id"], "won")
        self.server.dispute(intent, 600)
        self.assertEqual([d["status"] for d in self.server.disputes(intent)], ["won", "needs_response"])


class EscalateTests(LocalStripeTestCase):
    def test_an_inquiry_becomes_a_chargeback(self) -> None:
        inquiry = self.server.dispute(self.paid("pm_card_pendingRefund"), inquiry=True)
        self.server.refund(inquiry["payment_intent"], 100)
        seen = len(self.types())
        answer = self.control("POST", f"disputes/{inquiry['id']}/escalate")
        self.assertEqual((answer.status, answer.json["status"]), (200, "needs_response"))
        self.assertEqual([t["amount"] for t in answer.json["balance_transactions"]], [-1000])
        self.assertEqual(self.server.refunds()[0]["failure_reason"], "charge_for_pending_refund_disputed")
        withdrawn = "charge.dispute.funds_withdrawn"
        self.assertEqual(self.new_types(seen)[3:], [*UPDATED, withdrawn])
        self.assertEqual(self.control("POST", f"disputes/{inquiry['id']}/escalate").status, 400)
        self.assertEqual(self.server.close_dispute(inquiry["id"], "lost")["status"], "lost")


class EvidenceTests(LocalStripeTestCase):
    def test_evidence_is_submitted_unless_it_is_only_staged(self) -> None:
        disputes = self.client.v1.disputes
        for inquiry, waiting, review in (
            (False, "needs_response", "under_review"),
            (True, "warning_needs_response", "warning_under_review"),
        ):
            id = self.server.dispute(self.paid(), inquiry=inquiry)["id"]
            seen = len(self.types())
            staged = disputes.update(id, {"evidence": {"customer_name": "Ann"}, "submit": False})
            self.assertEqual((staged.status, staged.evidence_details.submission_count), (waiting, 0))
            self.assertTrue(staged.evidence_details.has_evidence)
            submitted = disputes.update(id, {"evidence": {"product_description": "A voucher"}})
            self.assertEqual((submitted.status, submitted.evidence_details.submission_count), (review, 1))
            self.assertEqual(submitted.evidence_details.submission_method, "manual")
            self.assertEqual(submitted.evidence.customer_name, "Ann")
            self.assertEqual(self.new_types(seen), UPDATED * 2)

    def test_metadata_alone_submits_nothing(self) -> None:
        id = self.server.dispute(self.paid())["id"]
        changed = self.client.v1.disputes.update(id, {"metadata": {"case": "7"}})
        self.assertEqual((changed.status, changed.metadata.to_dict()), ("needs_response", {"case": "7"}))

    def test_bad_parameters_are_refused(self) -> None:
        id = self.server.dispute(self.paid())["id"]
        for params, param in (
            ({"colour": "red"}, "colour"),
            ({"evidence": {"colour": "red"}}, "evidence[colour]"),
            ({"evidence": {"receipt": "file_1"}}, "evidence[receipt]"),
            ({"evidence": {"uncategorized_text": "x" * 20_001}}, "evidence[uncategorized_text]"),
            ({"submit": "perhaps"}, "submit"),
            ({"expand": ["reason"]}, "expand"),
        ):
            with self.subTest(params=list(params)):
                error = self.refusal(self.client.v1.disputes.update, id, params)
                self.assertEqual((error.http_status, error.param), (400, param))

    def test_an_unknown_dispute_is_missing(self) -> None:
        disputes = self.client.v1.disputes
        for call in (disputes.retrieve, disputes.update, disputes.close):
            error = self.refusal(call, "du_unknown")
            self.assertEqual((error.http_status, error.code), (404, "resource_missing"))

    def test_a_publishable_key_can_do_nothing(self) -> None:
        id = self.server.dispute(self.paid())["id"]
        for method, path in (("GET", ""), ("GET", f"/{id}"), ("POST", f"/{id}"), ("POST", f"/{id}/close")):
            self.assertEqual(self.browser(method, f"/v1/disputes{path}").status, 401)
        self.assertEqual(self.client.v1.disputes.retrieve(id).status, "needs_response")


class ListTests(LocalStripeTestCase):
    def test_it_lists_the_newest_first_in_pages_and_narrows(self) -> None:
        intents = [self.paid("pm_card_createDispute") for _ in range(3)]
        ids = [d["id"] for d in self.server.disputes()][::-1]
        disputes = self.client.v1.disputes
        page = disputes.list({"limit": 2})
        self.assertEqual(
            ([d.id for d in page.data], page.has_more, page.url), (ids[:2], True, "/v1/disputes")
        )
        page = disputes.list({"limit": 2, "starting_after": ids[1]})
        self.assertEqual(([d.id for d in page.data], page.has_more), (ids[2:], False))
        self.assertEqual([d.id for d in disputes.list({"limit": 1}).auto_paging_iter()], ids)
        self.assertEqual([d.id for d in disputes.list({"payment_intent": intents[0]}).data], [ids[2]])
        charge = self.charge_of(intents[1]).id
        [dispute] = disputes.list({"charge": charge, "expand": ["data.charge"]}).data
        self.assertEqual((dispute.id, dispute.charge.id), (ids[1], charge))  # type: ignore[union-attr]

    def test_it_narrows_by_time(self) -> None:
        ids = {}
        for moment in (100_000, 200_000):
            with mock.patch("local_stripe.resources.disputes.now", return_value=moment):
                ids[moment] = self.server.dispute(self.paid())["id"]
        page = self.client.v1.disputes.list({"created": {"gt": 100_000}})
        self.assertEqual([d.id for d in page.data], [ids[200_000]])
