"""Refunds and disputes at Stripe that we were not told of yet: they count before any voucher is made or let go."""

from decimal import Decimal

from post_office.models import Email

from apps.payments import services
from apps.payments.errors import PaymentProviderUnavailable, RefundDecided
from apps.payments.models import Dispute, Refund, Transaction
from apps.vouchers.models import Voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import CONFIRM
from .test_reconcile import ReconcileTestCase


class BeforeVouchersTests(ReconcileTestCase, ApiTestCase):
    """The buyer pays, something happens in Stripe's dashboard, and then we learn of the payment."""

    def paid_and(self, event, quantity=2):
        """A payment that we do not know of, and what happened to it."""
        paid = self.paid_unnoticed(quantity)
        intent_id = paid.stripe_payment_intent_id
        if event == "refunded":
            self.stripe.refund(intent_id)
        elif event == "half refunded":
            self.stripe.refund(intent_id, quantity * 500)
        else:
            dispute = self.stripe.dispute(intent_id)
            if event != "disputed":
                self.stripe.close_dispute(dispute["id"], event)
        return paid

    def learn(self, way, paid):
        intent_id = paid.stripe_payment_intent_id
        if way == "confirm":
            response = self.api.post(CONFIRM, {"payment_intent_id": intent_id})
            self.assertEqual(response.status_code, 200, response.content)
            return response.json()
        if way == "webhook":
            response = self.deliver(self.event_of(intent_id))
            self.assertEqual(response.status_code, 200, response.content)
        elif way == "reconcile":
            self.age()
            self.assertIn(("paid_not_fulfilled", True), self.run_it("--apply"))
        else:  # one that was given up is found only in Stripe's list
            Transaction.objects.filter(pk=paid.pk).update(status="failed")
            self.age()
            self.assertIn(("paid_not_fulfilled", True), self.run_it("--apply"))
        return None

    def test_the_vouchers_are_as_the_payment_is_at_stripe_whichever_way_we_learn_of_it(self):
        rights = {
            "refunded": ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]),
            "half refunded": ("completed", Decimal(0), Decimal(10), ["refunded", ""]),
            "disputed": ("completed", Decimal(0), Decimal(0), ["disputed", "disputed"]),
            "lost": ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]),
            "won": ("completed", Decimal(0), Decimal(0), ["", ""]),
        }
        for way in ("confirm", "webhook", "reconcile", "reconcile by Stripe's list"):
            for event, right in rights.items():
                with self.subTest(way=way, event=event):
                    paid = self.paid_and(event)
                    self.learn(way, paid)
                    self.assertEqual(self.books(paid), right)
                    for voucher, holds in zip(paid.vouchers, right[3], strict=True):
                        self.assertEqual(self.redeem(voucher).status_code, 409 if holds else 200)
        self.assertEqual(Dispute.objects.count(), 12)
        self.assertEqual(broken_rules(), {})

    def test_a_charge_that_stripe_does_not_expand_is_no_word_that_there_are_none(self):
        for event, holds in (("refunded", ["refunded"]), ("disputed", ["disputed"])):
            paid = self.paid_and(event, quantity=1)
            self.stripe.override_payment_intent(paid.stripe_payment_intent_id, {"latest_charge": None})
            self.learn("confirm", paid)
            self.assertEqual(self.books(paid)[3], holds)

    def test_confirm_says_what_is(self):
        for event, status in (("refunded", "refunded"), ("disputed", "completed")):
            answer = self.learn("confirm", self.paid_and(event))
            self.assertEqual(answer["transaction"]["status"], status)
            self.assertEqual({voucher["status"] for voucher in answer["vouchers"]}, {"inactive"})

    def test_the_mail_with_the_codes_tells_that_they_are_void(self):
        self.learn("confirm", self.paid_and("refunded"))
        (mail,) = Email.objects.filter(subject__startswith="Your vouchers")
        self.assertIn("Refunded", mail.message)

    def test_the_webhooks_that_come_later_change_nothing_more(self):
        for event in ("half refunded", "disputed"):
            paid = self.paid_and(event)
            self.learn("confirm", paid)
            before = self.books(paid)
            for kind in ("refund.created", "charge.refunded", "charge.dispute.created"):
                self.deliver_all(kind)
            self.assertEqual(self.books(paid), before)
        self.assertEqual((Refund.objects.count(), Dispute.objects.count()), (1, 1))

    def test_an_ordinary_payment_costs_one_call_as_ever(self):
        paid = self.paid_unnoticed()
        before = len(self.stripe.requests())
        self.learn("confirm", paid)
        self.assertEqual(len(self.stripe.requests()) - before, 1)

    def test_when_stripe_does_not_tell_of_the_refunds_nothing_is_issued_yet(self):
        paid = self.paid_and("half refunded")
        self.stripe.add_fault(method="GET", path="/v1/refunds", status=500, times=2)
        body = {"payment_intent_id": paid.stripe_payment_intent_id}
        with self.assertLogs("apps.payments", "ERROR"):
            self.assertProblem(self.api.post(CONFIRM, body), 503, "payment_provider_unavailable")
        self.assertEqual(Voucher.objects.count(), 0)
        self.learn("confirm", paid)
        self.assertEqual(self.books(paid)[3], ["refunded", ""])


class BeforeLettingGoTests(ReconcileTestCase, ApiTestCase):
    """A refund is not made; its vouchers may be let go only as far as Stripe knows no other reason to hold them."""

    def setUp(self):
        super().setUp()
        self.paid = self.buy(2)
        self.intent_id = self.paid.stripe_payment_intent_id
        self.refund_id = self.ask(self.paid).json()["id"]

    def approve(self):
        return services.approve_refund(refund_id=self.refund_id, actor=self.staff)

    def reject(self):
        return services.reject_refund(refund_id=self.refund_id, actor=self.staff, note="No")

    def assertHeld(self, *holds):
        self.assertEqual(self.books(self.paid)[3], list(holds))
        for voucher in self.paid.vouchers:
            self.assertProblem(self.redeem(voucher), 409, "voucher_inactive")
        self.assertEqual(broken_rules(), {})

    def test_a_refund_that_stripe_refuses_for_a_dispute_leaves_the_vouchers_suspended(self):
        dispute = self.stripe.dispute(self.intent_id)
        with self.assertLogs("apps.payments", "ERROR"):
            refund = self.approve()
        self.assertEqual((refund.status, refund.failure_reason), ("failed", "charge_disputed"))
        self.assertEqual(Dispute.objects.get().outcome, "open")
        self.assertHeld("disputed", "disputed")
        mail = Email.objects.get(subject="Your refund could not be made")
        self.assertIn("still can't be used", " ".join(mail.message.split()))
        self.stripe.close_dispute(dispute["id"], "won")
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(self.books(self.paid)[3], ["", ""])

    def test_one_that_is_refused_for_a_lost_dispute_leaves_them_void(self):
        self.stripe.close_dispute(self.stripe.dispute(self.intent_id)["id"], "lost")
        with self.assertLogs("apps.payments", "ERROR"):
            self.assertEqual(self.approve().status, "failed")
        self.assertEqual(self.books(self.paid)[0], "refunded")
        self.assertHeld("refunded", "refunded")

    def test_a_rejected_request_leaves_disputed_vouchers_suspended(self):
        self.stripe.dispute(self.intent_id)
        self.assertEqual(self.reject().status, "rejected")
        self.assertHeld("disputed", "disputed")

    def test_a_request_for_what_was_refunded_in_the_dashboard_is_not_rejected_any_more(self):
        self.stripe.refund(self.intent_id)
        with self.assertRaises(RefundDecided):
            self.reject()
        self.assertEqual(Refund.objects.get(pk=self.refund_id).status, "canceled")
        self.assertHeld("refunded", "refunded")

    def test_nothing_is_rejected_while_stripe_does_not_answer(self):
        self.stripe.add_fault(method="GET", path="/v1/payment_intents", status=500, times=2)
        with self.assertRaises(PaymentProviderUnavailable), self.assertLogs("apps.payments", "ERROR"):
            self.reject()
        self.assertEqual(Refund.objects.get().status, "requested")
        self.assertHeld("refund_pending", "refund_pending")
        self.assertEqual(self.reject().status, "rejected")
        self.assertEqual(self.books(self.paid)[3], ["", ""])

    def test_a_refused_refund_waits_for_what_stripe_knows(self):
        self.stripe.dispute(self.intent_id)
        self.stripe.add_fault(method="GET", path="/v1/disputes", status=500, times=2)
        with self.assertRaises(PaymentProviderUnavailable), self.assertLogs("apps.payments", "ERROR"):
            self.approve()
        self.assertHeld("refund_pending", "refund_pending")
        self.age()
        with self.assertLogs("apps.payments", "ERROR"):
            self.assertIn(("refund_not_sent", True), self.run_it("--apply"))
        self.assertHeld("disputed", "disputed")


class MoreThanToldTests(ReconcileTestCase, ApiTestCase):
    """An event tells of one thing; what else happened to the payment is taken over with it."""

    def test_a_refund_that_fails_because_of_a_dispute_lets_nothing_go(self):
        paid = self.buy(2, "pm_card_pendingRefund")
        self.redeem(paid.vouchers[0])
        self.refund(paid)
        self.stripe.dispute(paid.stripe_payment_intent_id)  # which fails the pending refund
        with self.assertLogs("apps.payments", "ERROR"):
            self.deliver_all("refund.failed")
        self.assertEqual(paid.refunds.get().status, "failed")
        self.assertEqual(self.books(paid)[3], ["disputed", "disputed"])

    def test_a_dispute_that_was_won_lets_nothing_go_that_was_refunded(self):
        paid = self.buy(1)
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id, inquiry=True)
        self.deliver_all("charge.dispute.created")
        self.stripe.close_dispute(dispute["id"], "warning_closed")
        self.stripe.refund(paid.stripe_payment_intent_id)
        self.deliver_all("charge.dispute.closed")
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(10), ["refunded"]))
