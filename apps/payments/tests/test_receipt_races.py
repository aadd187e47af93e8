"""One payment settled by several at once: one receipt is queued."""

import time

from django.utils import timezone
from post_office.models import Email

from apps.payments import gateway, services
from apps.payments.models import Transaction
from apps.payments.services import emails
from apps.payments.tests.factories import intent_for, make_transaction
from apps.users.tests.factories import make_user
from tests.support.cases import RaceTestCase


def settle_without_a_lock(intent: gateway.Intent) -> None:
    """The twin that looks, and then writes."""
    payment = Transaction.objects.get(stripe_payment_intent_id=intent.id)
    if payment.is_paid:
        return
    time.sleep(0.01)
    Transaction.objects.filter(pk=payment.pk).update(status="completed", completed_at=timezone.now())
    emails.queue_receipt(payment)


class SettlingTogether(RaceTestCase):
    def mails(self, settle):
        """How many receipts eight settlements of one payment at the same instant queue."""
        Email.objects.all().delete()
        intent = intent_for(make_transaction(user=make_user()))
        self.together(*[lambda: settle(intent)] * 8)
        return Email.objects.count()

    def test_one_receipt_is_queued(self):
        for _ in range(self.rounds):
            self.assertEqual(self.mails(services.apply_intent), 1)

    def test_control_the_oracle_catches_a_settlement_that_locks_nothing(self):
        self.assertCaught(lambda: self.mails(settle_without_a_lock), lambda mails: mails > 1)
