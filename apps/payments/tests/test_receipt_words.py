"""A receipt says for ever what it said when the sale was completed; what went back is added, with its day."""

from datetime import UTC, datetime
from importlib.util import find_spec
from unittest import skipUnless

import time_machine
from django.conf import settings
from django.test import override_settings

from apps.payments import services
from apps.payments.models import Receipt, Transaction
from apps.users.models import User
from apps.users.services import close_account
from apps.users.tests.factories import PASSWORD, make_customer, make_staff
from apps.vouchers import services as voucher_services
from apps.vouchers.models import VoucherType
from tests.support.cases import ApiTestCase
from voucher_project.shop_identity import NOBODY, Seller

from .factories import make_completed_transaction
from .money import PaidTestCase

READS_PDF = skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
SELLER = Seller("Exams Ltd", "1 Main Street, Accra", "C0001")
RENAMED = {
    "SHOP_NAME": "Certificates Online",
    "SHOP_CONTACT": "help@certificates.example",
    "SHOP_SELLER": Seller("Certificates plc", "2 Side Street, Kumasi", "C0002"),
    "TAX_RATE": None,
    "TIME_ZONE": "Pacific/Auckland",
}


@override_settings(SHOP_SELLER=SELLER, TAX_RATE=15)
class WordsOfReceiptTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer(first_name="Ama", last_name="Mensah")
        self.api = self.signed_in(self.customer)
        self.paid = make_completed_transaction(user=self.customer, quantity=3)

    def receipt(self):
        response = self.api.get(f"/api/payments/transaction/{self.paid.pk}/receipt/")
        self.assertEqual(response.status_code, 200)
        return response.content

    def text(self):
        from tests.support.paper import text_of

        return text_of(self.receipt()).replace("\N{NO-BREAK SPACE}", " ")

    def test_last_years_receipt_is_the_same_to_the_byte_whatever_was_renamed_since(self):
        before = self.receipt()
        VoucherType.objects.update(name="Certificates", service_type="certificates", price=99, max_uses=7)
        User.objects.filter(pk=self.customer.pk).update(
            first_name="Efua", last_name="Owusu", email="efua@example.com"
        )
        voucher_services.reissue_voucher(voucher_id=self.paid.vouchers[0].pk, actor=make_staff(), reason="x")
        with time_machine.travel(datetime(2099, 1, 1, tzinfo=UTC)), override_settings(**RENAMED):
            self.api = self.signed_in(User.objects.get(pk=self.customer.pk))
            self.assertEqual(self.receipt(), before)
            another = make_completed_transaction(user=self.customer)  # a control: the names are others now
            self.assertEqual(another.receipt.seller_name, "Certificates plc")

    @READS_PDF
    def test_a_sale_without_a_seller_names_todays(self):
        with override_settings(SHOP_SELLER=NOBODY):
            self.paid = make_completed_transaction(user=self.customer)
            self.assertIn(f"SOLD BY {settings.SHOP_NAME} SOLD TO Ama Mensah", self.text())
        self.assertIn("Exams Ltd", self.text())

    @READS_PDF
    def test_who_closed_the_account_is_erased_and_the_rest_stays(self):
        number = self.paid.receipt.number
        close_account(user=self.customer, password=PASSWORD)
        from tests.support.paper import text_of

        printed = services.print_receipt(Transaction.objects.get(pk=self.paid.pk)).content
        text = text_of(printed).replace("\N{NO-BREAK SPACE}", " ")
        for words in (f"Receipt {number}", "Exams Ltd", "(account closed)", "30.00 USD"):
            self.assertIn(words, text)
        for words in ("Ama", "Mensah", self.customer.email):
            self.assertNotIn(words, text)

    def test_the_job_erases_whom_an_older_version_left_when_it_closed_their_account(self):
        close_account(user=self.customer, password=PASSWORD)
        other = make_completed_transaction(user=make_staff())
        Receipt.objects.filter(transaction=self.paid).update(buyer_name="Ama", buyer_email="ama@example.com")
        self.assertEqual(services.erase_buyers_of_closed_accounts(), 1)
        erased, other_receipt = Receipt.objects.order_by("number")
        self.assertEqual((erased.buyer_name, erased.buyer_email), ("", ""))
        self.assertEqual(other_receipt.buyer_email, other.user.email)


class ReturnsOnReceiptTests(PaidTestCase, ApiTestCase):
    @READS_PDF
    def test_it_says_until_which_day_what_went_back_and_is_the_same_from_then_on(self):
        from tests.support.paper import text_of

        paid = self.buy(3)
        address = f"/api/payments/transaction/{paid.pk}/receipt/"
        first = self.api.get(address).content
        voucher = paid.vouchers[0]
        refund = services.request_refund_by_staff(
            transaction_id=paid.pk, actor=self.staff, reason="x", voucher_ids=[voucher.pk]
        )
        self.assertEqual(self.api.get(address).content, first)  # only asked for
        services.approve_refund(refund_id=refund.pk, actor=self.staff)
        paid.refunds.update(finished_at=datetime(2031, 5, 7, 12, tzinfo=UTC))
        second = self.api.get(address).content
        text = text_of(second).replace("\N{NO-BREAK SPACE}", " ")
        self.assertIn("Refunded up to 7 May 2031 \N{MINUS SIGN}10.00 USD Paid after refunds 20.00 USD", text)
        with time_machine.travel(datetime(2099, 1, 1, tzinfo=UTC)):
            self.api = self.signed_in(self.customer)
            self.assertEqual(self.api.get(address).content, second)

    @READS_PDF
    def test_a_dispute_that_was_lost_counts_too(self):
        from tests.support.paper import text_of

        paid = self.buy(1, "pm_card_createDispute")
        self.deliver_all("charge.dispute.created")
        dispute = paid.disputes.get()
        self.stripe.close_dispute(dispute.stripe_dispute_id, "lost")
        self.deliver_all("charge.dispute.closed")
        paid.refresh_from_db()
        self.assertEqual(paid.amount_refunded, paid.amount)
        paid.disputes.update(closed_at=datetime(2031, 5, 7, 12, tzinfo=UTC))
        text = text_of(services.print_receipt(paid).content).replace("\N{NO-BREAK SPACE}", " ")
        self.assertIn("Refunded up to 7 May 2031", text)
