"""manage.py reconcile_payments once a person has done what docs/books.md says, and beside other installations."""

from decimal import Decimal
from uuid import uuid4

from django.conf import settings
from django.test import override_settings

from apps.payments import gateway
from apps.payments.models import Transaction
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .test_reconcile import ReconcileTestCase


class ForeignPaymentTestCase(ReconcileTestCase):
    def paid_intent(self, order_id=None):
        """A paid intent of 10.00 USD for an order that we don't know, or for this one."""
        intent = gateway.create_intent(
            amount=Decimal(10), currency="USD", order_id=uuid4(), quantity=1, item="Exam"
        )
        if order_id:
            self.label(intent.id, order_id=str(order_id))
        self.stripe.pay(intent.id)
        return intent.id

    def label(self, intent_id, **metadata):
        self.stripe.override_payment_intent(intent_id, {"metadata": metadata})


class MendedTests(ForeignPaymentTestCase, ApiTestCase):
    def assertOpen(self, name):
        for arguments in ((), ("--apply",)):
            self.assertEqual(self.run_it(*arguments, expect=1), [(name, False)])

    def assertClosed(self):
        self.assertEqual(self.run_it(), [])
        self.assertEqual(broken_rules(), {})

    def test_a_payment_of_an_unknown_order_is_closed_once_all_of_it_was_refunded(self):
        intent_id = self.paid_intent()
        self.assertOpen("paid_unknown_order")
        self.stripe.refund(intent_id, 999)
        self.assertOpen("paid_unknown_order")
        self.stripe.refund(intent_id)
        self.assertClosed()

    def test_a_refund_that_has_not_arrived_closes_nothing(self):
        intent = gateway.create_intent(
            amount=Decimal(10), currency="USD", order_id=uuid4(), quantity=1, item="Exam"
        )
        self.stripe.pay(intent.id, "pm_card_pendingRefund")
        refund = self.stripe.refund(intent.id)
        self.assertOpen("paid_unknown_order")
        self.stripe.settle_refund(refund["id"], "succeeded")
        self.assertClosed()

    def test_a_payment_that_the_bank_took_back_is_closed(self):
        dispute = self.stripe.dispute(self.paid_intent())
        self.assertOpen("paid_unknown_order")
        self.stripe.close_dispute(dispute["id"], "lost")
        self.assertClosed()

    def test_a_second_payment_of_one_order_is_closed_once_it_was_refunded(self):
        second = self.paid_intent(self.buy(1).reference)
        self.assertOpen("paid_twice")
        self.stripe.refund(second)
        self.assertClosed()
        self.assertEqual((Transaction.objects.get().status, Voucher.objects.count()), ("completed", 1))

    def test_a_payment_of_an_order_that_waits_for_another_one_is_the_same(self):
        self.start(1)
        second = self.paid_intent(Transaction.objects.get().reference)
        self.age()
        self.assertOpen("paid_twice")
        self.stripe.refund(second)
        self.assertClosed()

    def test_a_wrong_amount_is_closed_and_its_purchase_given_up_once_it_was_refunded(self):
        intent_id = self.paid_unnoticed().stripe_payment_intent_id
        self.stripe.override_payment_intent(intent_id, {"amount_received": 1})
        self.age()
        self.assertOpen("amount_mismatch")
        self.stripe.refund(intent_id)
        self.assertEqual(self.run_it(expect=1), [("refunded_not_failed", False)])
        self.assertEqual(self.run_it("--apply"), [("refunded_not_failed", True)])
        self.assertEqual((Transaction.objects.get().status, Voucher.objects.count()), ("failed", 0))
        self.assertClosed()

    def test_vouchers_that_nobody_paid_for_are_closed_once_they_are_void(self):
        paid = self.buy(2)
        self.stripe.override_payment_intent(
            paid.stripe_payment_intent_id, {"status": "requires_payment_method"}
        )
        self.assertOpen("fulfilled_not_paid")
        for number, voucher in enumerate(paid.vouchers, start=1):
            voucher_services.void_vouchers([voucher.pk], actor=self.staff, reason="Nobody paid")
            if number == 1:
                self.assertOpen("fulfilled_not_paid")
        self.assertClosed()


class InstallationTests(ForeignPaymentTestCase, ApiTestCase):
    def test_what_another_installation_on_the_account_sold_is_none_of_ours(self):
        with override_settings(INSTALLATION="staging.example.com"):
            theirs = self.paid_intent()
        self.assertEqual(
            self.stripe.payment_intent(theirs)["metadata"]["installation"], "staging.example.com"
        )
        self.assertEqual(self.run_it("--apply"), [])
        self.assertEqual(self.report["checked"]["intents of others"], 1)
        self.label(theirs, order_id=str(uuid4()), installation=settings.INSTALLATION)
        self.assertEqual(self.run_it("--apply", expect=1), [("paid_unknown_order", False)])

    def test_a_purchase_that_we_know_is_ours_whoever_its_payment_says_made_it(self):
        for labels in ({}, {"installation": "as-it-was-called.example.com"}):
            with self.subTest(labels):
                paid = self.paid_unnoticed()
                intent_id = paid.stripe_payment_intent_id
                self.label(intent_id, order_id=str(paid.reference), **labels)
                self.age()
                self.assertEqual(self.run_it("--apply"), [("paid_not_fulfilled", True)])
                self.assertEqual(self.books(paid)[0], "completed")

    def test_an_unknown_order_of_before_payments_were_named_is_still_reported(self):
        self.label(self.paid_intent(), order_id=str(uuid4()))
        self.assertEqual(self.run_it("--apply", expect=1), [("paid_unknown_order", False)])
