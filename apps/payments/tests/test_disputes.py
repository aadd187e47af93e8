"""Disputes, as Stripe tells them by webhook."""

from datetime import timedelta
from decimal import Decimal

import time_machine
from django.utils import timezone

from apps.payments import errors, gateway, services
from apps.payments.models import Dispute, Transaction
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.services import void_vouchers
from tests.support.cases import ApiTestCase

from .money import CONFIRM, PaidTestCase


class DisputeTests(PaidTestCase, ApiTestCase):
    def disputed(self, quantity=2):
        paid = self.buy(quantity)
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id)
        self.deliver_all("charge.dispute.created")
        return paid, dispute["id"]

    def test_an_open_dispute_suspends_used_vouchers_too(self):
        paid = self.buy(2)
        self.redeem(paid.vouchers[0])
        self.stripe.dispute(paid.stripe_payment_intent_id)
        self.deliver_all("charge.dispute.created")
        self.deliver_all("charge.dispute.funds_withdrawn")
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(0), ["disputed", "disputed"]))
        refused = self.assertProblem(self.redeem(paid.vouchers[1]), 409, "voucher_inactive")
        self.assertEqual(refused["reason"], "disputed")
        self.assertEqual(Dispute.objects.get().outcome, "open")

    def test_it_says_until_when_the_bank_takes_evidence(self):
        _, dispute_id = self.disputed()
        due_by = gateway.fetch_dispute(dispute_id).respond_by
        dispute = Dispute.objects.get()
        self.assertEqual(dispute.respond_by, due_by)
        assert due_by
        self.assertGreater(due_by, timezone.now())
        Dispute.objects.update(respond_by=None)  # a dispute from before the column was there
        services.sync_dispute(dispute_id)
        dispute.refresh_from_db()
        self.assertEqual(dispute.respond_by, due_by)

    def test_a_won_dispute_gives_the_vouchers_and_the_days_back(self):
        paid = self.buy(2)
        with time_machine.travel(timezone.now() - timedelta(days=9), tick=False):
            dispute_id = self.stripe.dispute(paid.stripe_payment_intent_id)["id"]
            services.sync_dispute(dispute_id)
        before = paid.vouchers[0].expiry_date
        void_vouchers([paid.vouchers[1].pk], actor=self.staff, reason="Misprint")
        self.stripe.close_dispute(dispute_id, "won")
        self.deliver_all("charge.dispute.closed")
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(0), ["", "voided"]))
        self.assertEqual([each.expiry_date for each in paid.vouchers], [before + timedelta(days=9), before])
        self.assertEqual(self.redeem(paid.vouchers[0]).status_code, 200)
        kinds = VoucherEvent.objects.filter(voucher=paid.vouchers[0]).values_list("kind", flat=True)
        self.assertEqual(list(kinds), ["issued", "suspended", "released", "extended"])

    def test_a_lost_dispute_voids_what_is_left(self):
        paid = self.buy(2)
        self.redeem(paid.vouchers[0])
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id)
        self.stripe.close_dispute(dispute["id"], "lost")
        self.deliver_all("charge.dispute.closed")
        self.deliver_all("charge.dispute.created")  # older, and later
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]))
        self.assertProblem(self.redeem(paid.vouchers[1]), 409, "voucher_inactive")
        self.assertProblem(self.ask(paid), 409, "nothing_to_refund")

    def test_an_inquiry_that_is_closed_lets_the_vouchers_go(self):
        paid = self.buy(1)
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id, inquiry=True)
        self.deliver_all("charge.dispute.created")
        self.assertEqual(self.books(paid)[3], ["disputed"])
        self.stripe.close_dispute(dispute["id"], "warning_closed")
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(self.books(paid)[3], [""])

    def test_no_refund_is_asked_for_or_approved_meanwhile(self):
        paid = self.buy(1)
        refund_id = self.ask(paid).json()["id"]
        other = self.buy(1)
        for each in (paid, other):
            self.stripe.dispute(each.stripe_payment_intent_id)
        self.deliver_all("charge.dispute.created")
        self.assertProblem(self.ask(other), 409, "payment_disputed")
        with self.assertRaises(errors.PaymentDisputed):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertEqual(self.stripe.refunds(), [])
        self.assertEqual(self.books(paid)[3], ["disputed refund_pending"])

    def test_a_lost_dispute_cancels_a_request_and_a_won_one_keeps_it(self):
        lost, won = self.buy(1), self.buy(1)
        for paid, outcome in ((lost, "lost"), (won, "won")):
            self.ask(paid)
            dispute = self.stripe.dispute(paid.stripe_payment_intent_id)
            self.stripe.close_dispute(dispute["id"], outcome)
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(lost.refunds.get().status, "canceled")
        self.assertEqual(self.books(lost), ("refunded", Decimal(0), Decimal(10), ["refunded"]))
        self.assertEqual(won.refunds.get().status, "requested")
        self.assertEqual(self.books(won), ("completed", Decimal(10), Decimal(0), ["refund_pending"]))

    def test_a_lost_dispute_after_a_partial_refund_counts_what_is_left(self):
        paid = self.buy(2)
        self.redeem(paid.vouchers[0])
        self.refund(paid)
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id)
        self.stripe.close_dispute(dispute["id"], "lost")
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(self.books(paid)[:3], ("refunded", Decimal(0), Decimal(20)))

    def test_what_staff_suspended_stays_suspended_when_it_is_won(self):
        paid, dispute_id = self.disputed(1)
        voucher_services.suspend_vouchers([paid.vouchers[0].pk], actor=self.staff, reason="Odd")
        self.stripe.close_dispute(dispute_id, "won")
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(self.books(paid)[3], ["suspended"])

    def test_a_dispute_before_the_success_event_fulfils_first(self):
        intent_id = self.start(2).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        self.stripe.dispute(intent_id)
        self.deliver_all("charge.dispute.created")
        paid = Transaction.objects.get()
        self.assertEqual(self.books(paid)[3], ["disputed", "disputed"])
        self.deliver_all("payment_intent.succeeded")
        self.assertEqual(self.api.post(CONFIRM, {"payment_intent_id": intent_id}).status_code, 200)
        self.assertEqual((self.books(paid)[3], Voucher.objects.count()), (["disputed", "disputed"], 2))

    def test_an_older_answer_is_not_applied_over_a_newer_one(self):
        paid, dispute_id = self.disputed()
        read_at = Dispute.objects.get().updated_at
        older = gateway.fetch_dispute(dispute_id)
        self.stripe.close_dispute(dispute_id, "won")
        services.sync_dispute(dispute_id)
        self.assertIsNone(services.apply_dispute(older, read_at=read_at))
        self.assertEqual(self.books(paid)[3], ["", ""])

    def test_an_unknown_dispute_is_taken_and_changes_nothing(self):
        result = services.SyncResult(services.SyncKind.NOT_AT_STRIPE, ("dispute",))
        self.assertEqual(services.sync_dispute("dp_unknown"), result)
        self.assertEqual(Dispute.objects.count(), 0)
