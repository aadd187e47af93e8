"""Paying around the closing of an account, or its deactivation: such an account buys nothing."""

from decimal import Decimal
from unittest.mock import patch

from post_office.models import Email

from apps.payments import services
from apps.payments.models import Refund, Transaction
from apps.payments.services import fulfilment
from apps.users import services as users
from apps.users.errors import AccountClosed
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import INTENT
from .test_reconcile import ReconcileTestCase


class ClosedAccountTestCase(ReconcileTestCase, ApiTestCase):
    def new_customer(self):
        self.customer = make_user()
        self.api = self.signed_in(self.customer)

    def close(self, api=None):
        with self.captureOnCommitCallbacks(execute=True):
            response = (api or self.api).delete("/api/users/profile/", {"password": PASSWORD})
        self.assertEqual(response.status_code, 204, response.content)

    def deactivate(self):
        with self.captureOnCommitCallbacks(execute=True):
            users.deactivate(user=self.customer)

    def intent(self, started):
        return self.stripe.payment_intent(started.stripe_payment_intent_id)

    def assertGivenBack(self, paid):
        """All of it went back, nobody ever could redeem anything, and the books are in order."""
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]))
        refunds = self.stripe.refunds(paid.stripe_payment_intent_id)
        self.assertEqual([refund["amount"] for refund in refunds], [2000])
        self.assertEqual(paid.refunds.get().origin, "automatic")
        self.assertEqual(broken_rules(), {})


class OpenPurchaseTests(ClosedAccountTestCase):
    def test_closing_and_deactivating_cancel_what_could_still_be_paid(self):
        for shut in (self.close, self.deactivate):
            with self.subTest(shut.__name__):
                self.new_customer()
                started = [self.start() and Transaction.objects.latest("pk") for _ in range(3)]
                shut()
                self.assertEqual({self.intent(each)["status"] for each in started}, {"canceled"})
                self.assertEqual({self.books(each)[0] for each in started}, {"failed"})

    def test_unticking_active_in_the_admin_does_the_same(self):
        self.start()
        customer = User.objects.get(pk=self.customer.pk)
        customer.is_active = False
        with self.captureOnCommitCallbacks(execute=True):
            customer.save()
        self.assertEqual(self.intent(Transaction.objects.get())["status"], "canceled")

    def test_other_peoples_purchases_and_those_of_open_accounts_stay(self):
        self.start()
        another = self.signed_in(self.staff)
        another.post(INTENT, {"voucher_type_id": self.type.pk, "quantity": 1})
        self.close()
        self.assertEqual(services.cancel_open_purchases(user_id=self.staff.pk), 0)
        self.assertEqual(
            list(Transaction.objects.order_by("pk").values_list("status", flat=True)), ["failed", "pending"]
        )

    def test_while_stripe_is_away_the_account_is_closed_and_the_reconciliation_cancels(self):
        self.start()
        started = Transaction.objects.get()
        self.stripe.add_fault(path="/v1/payment_intents", status=503, times=2)
        with self.assertLogs("apps.payments", "WARNING"):
            self.close()
        self.assertEqual(self.intent(started)["status"], "requires_payment_method")
        self.age()
        self.assertEqual(self.run_it(expect=1), [("open_for_closed_account", False)])
        self.assertEqual(self.run_it("--apply"), [("open_for_closed_account", True)])
        self.assertEqual((self.intent(started)["status"], self.books(started)[0]), ("canceled", "failed"))
        self.assertEqual(self.run_it(), [])

    def test_an_account_that_is_closed_before_stripe_answers_gets_no_means_to_pay(self):
        remember = fulfilment.attach_intent

        def close_first(started, intent_id):
            with patch.object(services.closed_accounts, "_cancel", return_value=False):  # it saw no intent
                self.close(self.signed_in(self.customer))
            return remember(started, intent_id)

        with patch.object(fulfilment, "attach_intent", close_first):
            self.assertProblem(self.start(), 409, "account_closed")
        self.assertEqual(self.intent(Transaction.objects.get())["status"], "canceled")

    def test_a_closed_account_starts_nothing_also_nothing_free(self):
        for voucher_type in (self.type, make_type(price=0)):
            with self.assertRaises(AccountClosed):
                users.deactivate(user=self.customer)
                services.start_purchase(user=self.customer, voucher_type_id=voucher_type.pk, quantity=1)
        self.assertEqual((Transaction.objects.count(), Voucher.objects.count()), (0, 0))


class LateSuccessTests(ClosedAccountTestCase):
    """Paid in the last moment: the money goes back."""

    def paid_then(self, shut):
        paid = self.paid_unnoticed()
        with patch.object(services.closed_accounts, "_cancel", return_value=False):  # it comes too late
            shut()
        return paid

    def test_the_webhook_of_a_closed_or_deactivated_account_gives_the_money_back(self):
        for shut in (self.close, self.deactivate):
            with self.subTest(shut.__name__):
                self.new_customer()
                paid = self.paid_then(shut)
                with self.assertLogs("apps.payments", "WARNING") as logs:
                    response = self.deliver(self.event_of(paid.stripe_payment_intent_id))
                self.assertEqual(response.status_code, 200)
                self.assertIn("after its account was closed", "".join(logs.output))
                self.assertGivenBack(paid)
                self.assertEqual(self.run_it(), [])

    def test_it_is_told_in_a_mail_without_codes_where_there_is_an_address(self):
        paid = self.paid_then(self.deactivate)
        self.deliver(self.event_of(paid.stripe_payment_intent_id))
        self.assertEqual(list(Email.objects.values_list("subject", flat=True)), ["Your refund has been made"])
        self.assertNotIn(paid.vouchers[0].shown_code, Email.objects.get().message)

    def test_closing_itself_gives_back_what_was_paid_a_moment_before(self):
        paid = self.paid_unnoticed()
        self.close()
        self.assertGivenBack(paid)

    def test_the_reconciliation_gives_it_back_and_says_so(self):
        paid = self.paid_then(self.close)
        self.age()
        self.assertEqual(self.run_it(expect=1), [("paid_by_closed_account", False)])
        self.assertEqual(self.run_it("--apply"), [("paid_by_closed_account", True)])
        self.assertGivenBack(paid)
        self.assertEqual(self.run_it(), [])

    def test_also_one_that_was_given_up_and_paid_after_the_closing(self):
        paid = self.paid_then(self.close)
        Transaction.objects.update(status="failed")
        self.age()
        self.assertEqual(self.run_it("--apply"), [("paid_by_closed_account", True)])
        self.assertGivenBack(paid)

    def test_while_the_refund_can_not_be_sent_the_vouchers_are_held_and_it_is_sent_later(self):
        paid = self.paid_then(self.close)
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=503, times=2)
        with self.assertLogs("apps.payments", "ERROR"):
            self.assertEqual(self.deliver(self.event_of(paid.stripe_payment_intent_id)).status_code, 200)
        self.assertEqual(self.books(paid), ("completed", Decimal(20), Decimal(0), ["refund_pending"] * 2))
        self.age()
        self.assertEqual(self.run_it(expect=1), [("refund_not_sent", False)])
        self.assertEqual(self.run_it("--apply"), [("refund_not_sent", True)])
        self.assertGivenBack(paid)

    def test_a_process_that_dies_before_sending_leaves_it_to_the_reconciliation(self):
        paid = self.paid_then(self.close)
        with patch.object(services.stripe_sync, "send_automatic_refunds"):
            self.deliver(self.event_of(paid.stripe_payment_intent_id))
        self.assertEqual(Refund.objects.get().status, "requested")
        Refund.objects.update(created_at="2026-01-01T00:00Z")
        self.assertEqual(list(broken_rules()), ["refunds_sent"])
        self.age()
        self.assertEqual(self.run_it("--apply"), [("refund_not_sent", True)])
        self.assertGivenBack(paid)

    def test_what_was_refunded_in_the_dashboard_before_is_left_out(self):
        paid = self.paid_then(self.close)
        self.stripe.refund(paid.stripe_payment_intent_id, 500)
        self.deliver(self.event_of(paid.stripe_payment_intent_id))
        self.assertEqual(self.books(paid), ("refunded", Decimal(0), Decimal(20), ["refunded", "refunded"]))
        amounts = [refund["amount"] for refund in self.stripe.refunds(paid.stripe_payment_intent_id)]
        self.assertEqual((amounts, broken_rules()), ([500, 1500], {}))

    def test_a_dispute_is_waited_for(self):
        for outcome, amounts in (("won", [2000]), ("lost", [])):
            with self.subTest(outcome):
                self.new_customer()
                paid = self.paid_then(self.close)
                dispute = self.stripe.dispute(paid.stripe_payment_intent_id)
                self.deliver(self.event_of(paid.stripe_payment_intent_id))
                self.assertEqual(self.books(paid)[3], ["disputed refund_pending"] * 2)
                self.age()
                self.assertEqual(self.run_it("--apply"), [])
                self.stripe.close_dispute(dispute["id"], outcome)
                self.deliver_all("charge.dispute.closed")
                self.assertEqual(self.books(paid)[::3], ("refunded", ["refunded", "refunded"]))
                refunds = self.stripe.refunds(paid.stripe_payment_intent_id)
                self.assertEqual([refund["amount"] for refund in refunds], amounts)
                self.assertEqual(broken_rules(), {})

    def failed_refund(self):
        """A payment of a closed account whose automatic refund came back from the bank."""
        intent_id = self.start().json()["payment_intent_id"]
        paid = Transaction.objects.latest("pk")
        self.stripe.pay(intent_id, "pm_card_refundFail")
        with patch.object(services.closed_accounts, "_cancel", return_value=False):
            self.close()
        self.deliver(self.event_of(intent_id))
        with self.assertLogs("apps.payments", "ERROR"):
            self.stripe.settle_refund(self.stripe.refunds(intent_id)[0]["id"], "failed")
            self.deliver_all("refund.failed")
        return paid

    def test_a_refund_that_fails_is_told_until_staff_have_seen_to_it(self):
        paid = self.failed_refund()
        self.assertEqual(self.run_it("--apply", expect=1), [("closed_account_not_refunded", False)])
        self.assertEqual(broken_rules(), {"closed_accounts_refunded": [paid.pk]})
        refund = services.request_refund_by_staff(transaction_id=paid.pk, actor=self.staff, reason="By hand")
        services.approve_refund(refund_id=refund.pk, actor=self.staff)
        self.assertEqual((self.run_it(), broken_rules()), ([], {}))

    def test_it_is_told_no_more_once_the_vouchers_are_void(self):
        vouchers = [voucher.pk for voucher in self.failed_refund().vouchers]
        voucher_services.void_vouchers(vouchers[:1], actor=self.staff, reason="Paid back by bank transfer")
        self.assertEqual(self.run_it(expect=1), [("closed_account_not_refunded", False)])
        voucher_services.void_vouchers(vouchers, actor=self.staff, reason="Paid back by bank transfer")
        self.assertEqual((self.run_it(), broken_rules()), ([], {}))

    def test_what_was_fulfilled_before_the_closing_stays_as_it_is(self):
        paid = self.buy(2)
        self.close()
        self.deliver_all("payment_intent.succeeded")
        self.assertEqual(self.books(paid), ("completed", Decimal(0), Decimal(0), ["", ""]))
        somebody = self.signed_in(self.staff)
        used = somebody.post("/api/vouchers/redeem/", {"code": paid.vouchers[0].code})
        self.assertEqual(used.status_code, 200, used.content)
        self.assertEqual((Refund.objects.count(), self.run_it()), (0, []))
