"""What counts as a difference between the books and Stripe, without either."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.test import SimpleTestCase
from django.utils import timezone

from apps.payments import gateway
from apps.payments.models import Dispute, Refund, Transaction
from apps.payments.services.reconciliation import comparison
from apps.payments.services.reconciliation.repairs import REPAIRS
from apps.users.models import User

ORDER = UUID(int=1)
NOW = timezone.now()


def transaction(*, is_active=True, age=timedelta(hours=1), **fields):
    return Transaction(
        pk=7,
        user=User(is_active=is_active),
        reference=ORDER,
        amount=Decimal(10),
        currency="USD",
        created_at=NOW - age,
        **{"status": "pending", "stripe_payment_intent_id": "pi_1", **fields},
    )


def intent(status="succeeded", received=10, **fields):
    return gateway.Intent(
        status=status,
        amount=Decimal(10),
        amount_received=Decimal(received),
        currency="USD",
        client_secret="",
        **{"id": "pi_1", "order_id": str(ORDER), "installation": settings.INSTALLATION, **fields},
    )


class ComparisonTests(SimpleTestCase):
    def check(self, difference, name):
        self.assertEqual(difference and difference.name, name)

    def test_a_pending_transaction_and_its_intent(self):
        old, closed = {"age": settings.ABANDONED_AFTER + timedelta(hours=1)}, {"is_active": False}
        unpaid = intent("requires_payment_method", 0)
        for fields, at_stripe, returned, name in (
            ({}, None, False, None),
            (old, None, False, "abandoned"),
            (closed, None, False, "open_for_closed_account"),
            ({}, unpaid, False, None),
            (old, unpaid, False, "abandoned"),
            (closed, unpaid, False, "open_for_closed_account"),
            (old, intent("processing", 0), False, None),
            ({}, intent("canceled", 0), False, "canceled_not_failed"),
            ({}, intent(), False, "paid_not_fulfilled"),
            (closed, intent(), False, "paid_by_closed_account"),
            ({}, intent(received=9), False, "amount_mismatch"),
            ({}, intent(received=9), True, "refunded_not_failed"),
        ):
            with self.subTest(name, fields=fields):
                difference = comparison.compare_unfinished(
                    transaction(**fields), at_stripe, returned=returned, now=NOW
                )
                self.check(difference, name)

    def test_an_intent_of_the_list_and_our_transaction_for_it(self):
        paid = {"status": "completed"}
        for at_stripe, ours, name in (
            (intent("requires_action", 0), None, None),
            (intent(), None, "paid_unknown_order"),
            (intent(order_id=""), None, None),
            (intent(installation="another"), None, None),
            (intent(), transaction(**paid), None),
            (intent(), transaction(), "paid_not_fulfilled"),
            (intent(), transaction(age=timedelta(0)), None),
            (intent(id="pi_2"), transaction(**paid), "paid_twice"),
            (intent(received=9), transaction(**paid), "amount_mismatch"),
        ):
            with self.subTest(name):
                before = NOW - timedelta(minutes=5)
                self.check(comparison.compare_listed(at_stripe, ours, started_before=before), name)

    def test_a_refund_and_a_dispute_and_ours(self):
        refund = gateway.Refund("re_1", "pi_1", "succeeded", Decimal(10), "USD", "", "")
        for ours, name in (
            (None, "refund_unknown"),
            (Refund(amount=9, status="succeeded"), "refund_mismatch"),
            (Refund(amount=10, status="pending"), "refund_moved"),
            (Refund(amount=10, status="succeeded"), None),
        ):
            with self.subTest(name):
                self.check(comparison.compare_refund(refund, ours), name)
        dispute = gateway.Dispute("dp_1", "pi_1", "lost", Decimal(10), "USD", "fraudulent", respond_by=NOW)
        for our_dispute, name in (
            (None, "dispute_unknown"),
            (Dispute(amount=10, stripe_status="needs_response"), "dispute_moved"),
            (Dispute(amount=9, stripe_status="lost", respond_by=NOW), "dispute_moved"),
            (Dispute(amount=10, stripe_status="lost", respond_by=NOW - timedelta(days=1)), "dispute_moved"),
            (Dispute(amount=10, stripe_status="lost", respond_by=NOW), None),
        ):
            with self.subTest(name):
                self.check(comparison.compare_dispute(dispute, our_dispute), name)

    def test_each_difference_that_is_repaired_stands_in_the_page_on_operations(self):
        page = Path(settings.BASE_DIR, "docs/books.md").read_text()
        self.assertEqual([name for name in REPAIRS if f"`{name}`" not in page], [])
