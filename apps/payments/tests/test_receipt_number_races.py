"""Sales that are completed at the same instant: their receipts have numbers without gaps, and each has one."""

import threading
import time
from functools import partial
from unittest import mock

from django.db import IntegrityError
from django.db.models import Max
from django.test.utils import tag

from apps.payments import services
from apps.payments.models import Receipt, ReceiptCounter, Transaction
from apps.payments.services import receipt_rows
from apps.users.services import close_account
from apps.users.tests.factories import PASSWORD, make_user
from apps.vouchers.tests.factories import make_type
from tests.support.cases import RaceTestCase

from .factories import as_by_older_version, intent_for, make_completed_transaction, make_transaction

SALES = 20


_read = threading.local()


def settle_under_a_number_that_is_read_first(intent):
    """The twin that looks which number is the next, and then completes the sale under it."""
    _read.number = (Receipt.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    time.sleep(0.01)
    return services.apply_intent(intent)


def insert_under_the_number_that_was_read(receipt):
    receipt.number = _read.number
    receipt.save(force_insert=True)
    ReceiptCounter.objects.update_or_create(pk=1, defaults={"last_number": receipt.number})


@tag("slow")
class CompletingTogether(RaceTestCase):
    def settle(self, apply, intent):
        try:
            apply(intent)
        except IntegrityError:
            return False
        return True

    def complete(self, apply=services.apply_intent):
        """Whether twenty payments that arrive at the same instant all give vouchers and the next numbers."""
        last = Receipt.objects.count()
        kind = make_type()
        pending = [make_transaction(user=make_user(), voucher_type=kind) for _ in range(SALES)]
        calls = [partial(self.settle, apply, intent_for(each)) for each in pending]
        all_settled = all(self.together(*calls))
        numbers = list(Receipt.objects.order_by("number").values_list("number", flat=True))
        sold = Transaction.objects.paid().count()
        return all_settled and sold == len(numbers) and numbers == list(range(1, last + SALES + 1))

    def test_their_numbers_have_no_gaps(self):
        for _ in range(self.rounds):
            self.assertTrue(self.complete())

    def test_control_the_oracle_catches_a_number_that_is_read_first(self):
        with mock.patch.object(receipt_rows, "insert_receipt", insert_under_the_number_that_was_read):
            self.assertCaught(
                lambda: self.complete(settle_under_a_number_that_is_read_first),
                lambda is_right: not is_right,
            )


class HealingTogether(RaceTestCase):
    def heal(self):
        """Two jobs and several prints of sales without receipts; the numbers, and how many sales have one."""
        Receipt.objects.all().delete()
        ReceiptCounter.objects.all().delete()
        user, kind = make_user(), make_type()
        sales = [make_completed_transaction(user=user, voucher_type=kind) for _ in range(6)]
        as_by_older_version(*sales)
        jobs = [lambda: sum(services.issue_missing_receipts())] * 2
        prints = [
            lambda sale=sale: services.print_receipt(Transaction.objects.get(pk=sale.pk)) for sale in sales
        ]
        self.together(*jobs, *prints, *prints)
        sold = Transaction.objects.paid().count()  # also those of the round before
        return list(Receipt.objects.order_by("number").values_list("number", flat=True)), sold

    def test_each_sale_has_one(self):
        for _ in range(3):
            numbers, sales = self.heal()
            self.assertEqual(numbers, list(range(1, sales + 1)))

    def test_who_closes_the_account_meanwhile_stays_on_none(self):
        for _ in range(self.rounds):
            user = make_user(first_name="Ama")
            sales = [make_completed_transaction(user=user) for _ in range(3)]
            as_by_older_version(*sales)
            close = partial(close_account, user=user, password=PASSWORD)
            self.together(lambda: sum(services.issue_missing_receipts()), close)
            sum(services.issue_missing_receipts())
            buyers = Receipt.objects.filter(transaction__in=sales).values_list("buyer_name", "buyer_email")
            self.assertEqual(list(buyers), [("", "")] * 3)
