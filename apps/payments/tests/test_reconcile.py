"""manage.py reconcile_payments"""

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from unittest.mock import patch
from uuid import uuid4

from django.core.management import call_command
from django.test import tag
from django.utils import timezone

from apps.core import leases
from apps.core.models import Lease
from apps.payments import gateway, services, tasks
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.models import Dispute, Refund, Transaction
from apps.payments.services.reconciliation import paging, run
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase, RaceTestCase

from .money import PaidTestCase


class ReconcileTestCase(PaidTestCase):
    def setUp(self):
        super().setUp()
        for module, name, value in ((run, "PAUSE", 0), (paging, "BACK_OFF", (0.0,))):
            changed = patch.object(module, name, value)
            changed.start()
            self.addCleanup(changed.stop)

    def run_it(self, *arguments, expect=0):
        """What a run reports: (name, repaired) of each difference."""
        output = StringIO()
        try:
            call_command("reconcile_payments", "--json", *arguments, stdout=output, stderr=StringIO())
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        self.assertEqual(status, expect, output.getvalue())
        self.report = json.loads(output.getvalue()) if output.getvalue() else {}
        return [(each["name"], each["repaired"]) for each in self.report.get("differences", ())]

    def age(self, hours=1):
        """Let everything have begun earlier."""
        earlier = timezone.now() - timedelta(hours=hours)
        Transaction.objects.update(created_at=earlier)
        Refund.objects.update(updated_at=earlier)

    def paid_unnoticed(self, quantity=2):
        """A payment whose buyer never came back and whose webhook never came."""
        intent_id = self.start(quantity).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        return Transaction.objects.get(stripe_payment_intent_id=intent_id)


@tag("pooled")
class ReconcileTests(ReconcileTestCase, ApiTestCase):
    def test_books_that_agree_are_said_to_and_nothing_is_changed(self):
        self.refund(self.buy(2))
        self.buy(1)
        self.start()
        self.age()
        self.assertEqual(self.run_it(), [])
        self.assertEqual(self.report["checked"]["intents at Stripe"], 3)

    def test_a_webhook_that_never_came_is_made_up_for(self):
        paid = self.paid_unnoticed()
        self.age()
        self.assertEqual(self.run_it(expect=1), [("paid_not_fulfilled", False)])
        self.assertEqual(Voucher.objects.count(), 0)
        self.assertEqual(self.run_it("--apply"), [("paid_not_fulfilled", True)])
        self.assertEqual(self.books(paid)[0], "completed")
        self.assertEqual(Voucher.objects.count(), 2)
        self.assertEqual(self.run_it("--apply"), [])

    def test_what_is_younger_than_a_few_minutes_is_left_alone(self):
        self.paid_unnoticed()
        self.assertEqual(self.run_it("--apply"), [])
        self.assertEqual(Voucher.objects.count(), 0)

    def test_an_intent_whose_id_was_never_noted_is_found_by_its_order(self):
        paid = self.paid_unnoticed()
        Transaction.objects.update(stripe_payment_intent_id=None)
        # created_at stays: the list is searched around it.
        with patch.object(run, "GRACE", timedelta(0)):
            self.assertEqual(self.run_it("--apply"), [("paid_not_fulfilled", True)])
        self.assertEqual(self.books(paid)[0], "completed")

    def test_an_abandoned_purchase_is_canceled_at_stripe_first(self):
        self.start()
        self.age(hours=25)
        abandoned = Transaction.objects.get()
        intent_id = abandoned.stripe_payment_intent_id or ""
        self.assertEqual(self.run_it(expect=1), [("abandoned", False)])
        self.assertEqual(self.stripe.payment_intent(intent_id)["status"], "requires_payment_method")
        self.assertEqual(self.run_it("--apply"), [("abandoned", True)])
        self.assertEqual(self.stripe.payment_intent(intent_id)["status"], "canceled")
        self.assertEqual(self.books(abandoned)[0], "failed")

    def test_an_abandoned_purchase_that_is_paid_in_the_last_moment_is_fulfilled(self):
        intent_id = self.start().json()["payment_intent_id"]
        self.age(hours=25)
        unpaid = gateway.fetch_intent(intent_id)
        self.stripe.pay(intent_id)
        paid = gateway.fetch_intent(intent_id)
        seen = [unpaid, paid, paid]
        with patch.object(gateway, "fetch_intent", side_effect=seen):
            self.assertEqual(self.run_it("--apply"), [("abandoned", True)])
        self.assertEqual((Transaction.objects.get().status, Voucher.objects.count()), ("completed", 2))

    def test_one_that_stripe_never_heard_of_is_given_up_after_a_day(self):
        self.stripe.add_fault(method="POST", path="/v1/payment_intents", status=503, times=2)
        self.start()
        self.age(hours=2)
        self.assertEqual(self.run_it("--apply"), [])
        self.age(hours=25)
        self.assertEqual(self.run_it("--apply"), [("abandoned", True)])
        self.assertEqual(Transaction.objects.get().status, "failed")

    def test_a_late_success_of_one_that_was_given_up_is_fulfilled_and_reported(self):
        paid = self.paid_unnoticed()
        Transaction.objects.update(status="failed")
        self.age()
        self.assertEqual(self.run_it("--apply"), [("paid_not_fulfilled", True)])
        self.assertEqual(self.books(paid)[0], "completed")

    def test_a_canceled_one_fails(self):
        intent_id = self.start().json()["payment_intent_id"]
        gateway.cancel_intent(intent_id)
        self.age()
        self.assertEqual(self.run_it("--apply"), [("canceled_not_failed", True)])
        self.assertEqual(Transaction.objects.get().status, "failed")

    def test_refunds_and_disputes_whose_events_never_came_are_taken_over(self):
        refunded, disputed = self.buy(2), self.buy(1)
        self.stripe.refund(refunded.stripe_payment_intent_id, 1000)
        dispute = self.stripe.dispute(disputed.stripe_payment_intent_id)
        self.assertEqual(self.run_it(expect=1), [("refund_unknown", False), ("dispute_unknown", False)])
        self.assertEqual((Refund.objects.count(), Dispute.objects.count()), (0, 0))
        self.assertEqual(self.run_it("--apply"), [("refund_unknown", True), ("dispute_unknown", True)])
        self.assertEqual(self.books(refunded), ("completed", Decimal(0), Decimal(10), ["refunded", ""]))
        self.assertEqual(self.books(disputed)[3], ["disputed"])
        self.stripe.close_dispute(dispute["id"], "lost")
        self.assertEqual(self.run_it("--apply"), [("dispute_moved", True)])
        self.assertEqual(self.books(disputed)[0], "refunded")

    def test_a_refund_that_was_approved_and_perhaps_not_sent_is_driven_on(self):
        paid = self.buy(1)
        refund_id = self.ask(paid).json()["id"]
        self.stripe.add_fault(method="POST", path="/v1/refunds", effect_then_error=500)
        with self.assertRaises(PaymentProviderUnavailable):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.age()
        self.assertEqual(self.run_it("--apply")[0], ("refund_not_sent", True))
        self.assertEqual(len(self.stripe.refunds()), 1)
        self.assertEqual(self.books(paid)[0], "refunded")

    def test_a_pending_refund_that_ended_is_brought_in_line(self):
        refund = self.refund(self.buy(1, "pm_card_pendingRefund"))
        self.stripe.settle_refund(refund.stripe_refund_id, "succeeded")
        self.age()
        self.assertEqual(self.run_it("--apply"), [("refund_moved", True)])
        self.assertEqual(Refund.objects.get().status, "succeeded")

    def test_what_a_person_must_look_at_stays_open(self):
        mismatched, never_paid = self.paid_unnoticed(), self.buy(1)
        self.age()
        self.stripe.override_payment_intent(mismatched.stripe_payment_intent_id, {"amount_received": 1})
        self.stripe.override_payment_intent(
            never_paid.stripe_payment_intent_id, {"status": "requires_payment_method"}
        )
        unknown = gateway.create_intent(
            amount=Decimal(5), currency="USD", order_id=uuid4(), quantity=1, item="Exam"
        )
        self.stripe.pay(unknown.id)
        differences = self.run_it("--apply", expect=1)
        self.assertEqual(
            sorted(set(differences)),
            [
                ("amount_mismatch", False),
                ("fulfilled_not_paid", False),
                ("paid_unknown_order", False),
            ],
        )
        self.assertEqual(Voucher.objects.count(), 1)

    def test_another_shops_payments_on_the_account_are_no_difference(self):
        self.buy(1)
        intent = gateway.create_intent(
            amount=Decimal(5), currency="USD", order_id=uuid4(), quantity=1, item="Exam"
        )
        self.stripe.override_payment_intent(intent.id, {"metadata": {}})
        self.stripe.pay(intent.id)
        self.assertEqual(self.run_it(), [])

    def test_stripe_not_answering_is_told_by_the_exit_status(self):
        self.start()
        self.age()
        self.stripe.add_fault(method="GET", path="/v1/payment_intents", status=500, times=50)
        self.run_it("--apply", expect=2)
        self.assertFalse(self.report["complete"])

    def test_the_scheduled_job_repairs(self):
        paid = self.paid_unnoticed()
        self.age()
        self.assertEqual(tasks.reconcile(hours=2), 0)
        self.assertEqual(self.books(paid)[0], "completed")


@tag("pooled")
class SingleFlightTests(ReconcileTestCase, RaceTestCase):
    def test_a_second_one_at_the_same_time_says_so(self):
        def hold():
            with leases.try_acquire("reconcile") as lease:
                assert lease
                return self.together(lambda: self.run_it(expect=3))

        self.assertEqual(hold(), [[]])
        self.assertEqual(self.run_it(), [])

    def test_a_long_list_at_stripe_renews_the_lease_with_each_page(self):
        self.stripe.refund(self.paid_unnoticed().stripe_payment_intent_id, 100)
        left = []

        def pages(items):
            for item in items:
                Lease.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
                yield [item]
                left.append(Lease.objects.get().expires_at - timezone.now())

        with patch.object(run, "pages", pages):
            self.run_it()
        self.assertEqual(len(left), 2)  # an intent and a refund
        self.assertGreater(min(left), timedelta(minutes=5))

    def test_one_that_another_has_taken_over_repairs_nothing_more(self):
        first, second = self.paid_unnoticed(), self.paid_unnoticed()
        self.age()
        repair = run._repair

        def outlast_the_lease(difference):
            repaired = repair(difference)
            Lease.objects.update(holder="another")
            return repaired

        with (
            patch.object(run, "_repair", outlast_the_lease),
            self.assertLogs("apps", "WARNING") as logged,
        ):
            self.run_it("--apply", expect=3)
        self.assertEqual([self.books(paid)[0] for paid in (first, second)], ["completed", "pending"])
        self.assertIn("paid_not_fulfilled", "".join(logged.output))  # what it did is not lost
        Lease.objects.all().delete()
        self.run_it("--apply")
        self.assertEqual(self.books(second)[0], "completed")
