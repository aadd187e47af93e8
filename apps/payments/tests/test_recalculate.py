"""`manage.py recalculate_payments`: books that older rules made follow today's."""

from io import StringIO

from django.core.management import call_command

from apps.payments.models import Refund, RefundedVoucher, Transaction
from apps.payments.services.recalculation import recalculate
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import Hold
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import PaidTestCase


def run_command(*options):
    said = StringIO()
    call_command("recalculate_payments", *options, stdout=said)
    return said.getvalue()


class RecalculateTests(PaidTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.goodwill, self.lost, self.right = self.buy(1), self.buy(3), self.buy(2)
        self.buy(1)  # nothing goes back of it
        self.stripe.refund(self.goodwill.stripe_payment_intent_id, 100)
        dispute = self.stripe.dispute(self.lost.stripe_payment_intent_id, 1000)["id"]
        self.stripe.close_dispute(dispute, "lost")
        self.deliver_all("refund.created")
        self.deliver_all("charge.dispute.closed")
        self.refund(self.right)
        self.round_up()

    def round_up(self):
        """As the books were while a part of a voucher's price voided it, and a lost dispute all of a purchase."""
        RefundedVoucher.objects.create(
            refund=Refund.objects.get(transaction=self.goodwill), voucher=self.goodwill.vouchers[0]
        )
        for paid in (self.goodwill, self.lost):
            holds = {voucher.pk: {Hold.REFUNDED} for voucher in paid.vouchers}
            voucher_services.sync_money_holds(holds, reason="The rules of then")
        Transaction.objects.update(amount_goodwill=0)

    def everything(self):
        tables = (Transaction, Voucher, VoucherEvent, RefundedVoucher)
        return [list(table.objects.order_by("pk").values()) for table in tables]

    def test_it_says_what_would_change_and_changes_nothing_until_it_is_told_to(self):
        before = self.everything()
        said = run_command()
        self.assertIn(f"Transaction {self.goodwill.pk}: would change\n", said)
        self.assertIn(f"Transaction {self.lost.pk}: would change\n", said)
        self.assertIn("Checked payments: 3, to change: 2.", said)
        self.assertEqual(self.everything(), before)
        self.assertEqual(set(broken_rules()), {"dashboard_refunds", "lost_disputes"})

    def test_applied_it_frees_what_is_void_for_nothing_once(self):
        right = self.books(self.right)
        self.assertIn("Checked payments: 3, changed: 2.", run_command("--apply"))
        self.assertEqual(self.books(self.goodwill)[3], [""])
        self.assertEqual(self.goodwill.amount_goodwill, 1)
        self.assertEqual(self.books(self.lost)[3].count("refunded"), 1)
        self.assertEqual(self.books(self.right), right)
        self.assertEqual(self.redeem(self.goodwill.vouchers[0]).status_code, 200)
        self.assertEqual(broken_rules(), {})
        before = self.everything()[1:]
        self.assertIn("changed: 0.", run_command("--apply"))
        self.assertEqual(self.everything()[1:], before)

    def test_a_payment_that_is_in_line_is_left_as_it_is(self):
        run_command("--apply")
        paid = Transaction.objects.get(pk=self.right.pk)
        recalculate(paid, reason="Again")
        self.assertIn("to change: 0.", run_command())
