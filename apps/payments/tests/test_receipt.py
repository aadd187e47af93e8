"""GET /api/payments/transaction/<id>/receipt/"""

from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from unittest import skipUnless

from django.conf import settings
from django.test import override_settings

from apps.payments import selectors, services
from apps.payments.errors import NotPaid, TransactionNotFound
from apps.payments.models import Transaction, TransactionStatus
from apps.payments.tests.factories import make_completed_transaction, make_transaction
from apps.users.models import User
from apps.users.services import close_account
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_staff
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase
from voucher_project.shop_identity import Seller

READS_PDF = skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
NBSP = "\N{NO-BREAK SPACE}"


class ReceiptTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_customer(first_name="Carla", last_name="Mensah-Ɔsei")
        self.api = self.signed_in(self.owner)
        self.kind = make_type(name="Exam Results Checking")

    def get(self, transaction_id, api=None):
        return (api or self.api).get(f"/api/payments/transaction/{transaction_id}/receipt/")

    def text(self, paid):
        from tests.support.paper import text_of

        return text_of(services.print_receipt(paid).content)

    @READS_PDF
    def test_it_says_who_paid_what_when_and_for_which_vouchers(self):
        from tests.support.paper import metadata_of, text_of

        with override_settings(TIME_ZONE="Pacific/Auckland", SHOP_NAME="Exams Online", SHOP_CONTACT="Desk 4"):
            paid = make_completed_transaction(
                user=self.owner,
                voucher_type=self.kind,
                quantity=3,
                completed_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
            )
        response = self.get(paid.pk)
        self.assertEqual(response.status_code, 200)
        text = text_of(response.content)
        for words in (
            f"Receipt {paid.receipt.number}",
            "Exams Online",
            *settings.SHOP_SELLER,
            "Questions: Desk 4",
            "By card, through Stripe",
            "2 March 2026, 01:30, Pacific/Auckland time",
            "Carla Mensah-Ɔsei",
            self.owner.email,
            paid.stripe_payment_intent_id,
            "Exam Results Checking",
            "Exam results, 1 use each",
            "10.00 USD",
            "Total paid",
            "30.00 USD",
        ):
            self.assertIn(words, text.replace(NBSP, " "))
        for words in ("Refunded", "tax of"):
            self.assertNotIn(words, text)
        metadata = metadata_of(response.content)
        self.assertEqual(
            (metadata["Title"], metadata["Author"]), (f"Receipt {paid.receipt.number}", "Exams Online")
        )
        for voucher in paid.vouchers:
            self.assertIn(f"-{voucher.code[-4:]}", text)
            for group in voucher.shown_code.split("-")[:3]:
                self.assertNotIn(group, text)
            self.assertNotIn(voucher.code[:12], f"{response.content!r}{response.headers}")

    @READS_PDF
    def test_it_says_what_went_back(self):
        paid = make_completed_transaction(user=self.owner, quantity=3)
        paid.amount_refunded = Decimal("10.00")
        text = self.text(paid).replace(NBSP, " ")
        for words in ("Refunded", "\N{MINUS SIGN}10.00 USD", "Paid after refunds", "20.00 USD"):
            self.assertIn(words, text)
        paid.amount_refunded, paid.status = paid.amount, TransactionStatus.REFUNDED
        self.assertIn("Paid after refunds 0.00 USD", self.text(paid).replace(NBSP, " "))

    @READS_PDF
    def test_it_says_how_much_of_the_price_is_tax(self):
        for rate, currency, price, tax, rest in (
            ("12.5", "USD", "10.00", "2.22", "17.78"),
            ("19", "EUR", "9.99", "3.19", "16.79"),
            ("8.125", "JPY", "1000", "150", "1,850"),
        ):
            with self.subTest(currency), override_settings(TAX_RATE=Decimal(rate)):
                kind = make_type(name=currency, price=Decimal(price), currency=currency)
                paid = make_completed_transaction(user=self.owner, voucher_type=kind, quantity=2)
                text = self.text(paid).replace(NBSP, " ")
                self.assertIn(f"of this, tax of {rate} % {tax} {currency}", text)
                self.assertIn(f"of this, without tax {rest} {currency}", text)

    @READS_PDF
    def test_a_free_purchase_has_one_too(self):
        free = make_type(price=0)
        started = self.api.post("/api/vouchers/purchase/", {"voucher_type_id": free.pk})
        text = self.text(Transaction.objects.get(pk=started.json()["transaction"]["id"]))
        self.assertIn("Nothing was to be paid.", text)
        self.assertIn("Total paid 0.00 USD", text.replace(NBSP, " "))

    @READS_PDF
    def test_whatever_stands_in_it_fits(self):
        from tests.support.paper import marks_of

        for name in ("شهادة " * 24, "考试" * 75, "W" * 150, "\u202e\n\t", ""):
            with self.subTest(name[:10]):
                User.objects.filter(pk=self.owner.pk).update(first_name=name, last_name=name)
                seller = Seller((name or "W")[:200], name * 3, name[:100])
                kind = make_type(name=f"{name}{name}"[:190] or "-", price=Decimal("9999999.99"))
                with override_settings(SHOP_SELLER=seller, TAX_RATE=Decimal("12.5"), SHOP_CONTACT=name):
                    paid = make_completed_transaction(user=self.owner, voucher_type=kind, quantity=100)
                paid.amount_refunded = paid.amount
                printed = services.print_receipt(paid).content
                pages = {number for number, _ in marks_of(printed)}
                self.assertEqual(pages, {0})
                for _, (left, bottom, right, top) in marks_of(printed):
                    self.assertGreater(min(left, bottom), -1)
                    self.assertLess(right, 596)
                    self.assertLess(top, 843)

    @READS_PDF
    def test_it_stays_in_the_books_when_the_buyer_is_gone(self):
        paid = make_completed_transaction(user=self.owner)
        close_account(user=self.owner, password=PASSWORD)
        text = self.text(Transaction.objects.get(pk=paid.pk))
        self.assertIn("(account closed)", text)
        self.assertNotIn("Mensah", text)

    def test_it_is_a_file_to_save(self):
        paid = make_completed_transaction(user=self.owner)
        response = self.get(paid.pk)
        self.assertEqual(response.headers["Content-Type"], "application/pdf")
        disposition = f'attachment; filename="receipt-{paid.receipt.number}.pdf"'
        self.assertEqual(response.headers["Content-Disposition"], disposition)
        self.assertEqual(response.headers["Cache-Control"], "private, no-store")
        self.assertEqual(response.headers["X-Content-Type-Options"], "nosniff")
        self.assertTrue(response.content.startswith(b"%PDF-"))

    def test_it_takes_two_queries_however_many_vouchers(self):
        paid = make_completed_transaction(user=self.owner, quantity=10)
        with self.assertQueries(2):  # who asks, the transaction with its receipt
            self.assertEqual(self.get(paid.pk).status_code, 200)

    def test_what_was_not_paid_has_none(self):
        for status in (TransactionStatus.PENDING, TransactionStatus.FAILED):
            unpaid = make_transaction(user=self.owner, status=status)
            self.assertProblem(self.get(unpaid.pk), 409, "not_paid")
            unpaid.refresh_from_db()
            self.assertEqual(unpaid.status, status)

    def test_it_is_for_the_buyer_alone(self):
        paid = make_completed_transaction(user=self.owner)
        for other in (make_other_customer(), make_staff()):
            self.assertProblem(self.get(paid.pk, self.signed_in(other)), 404, "transaction_not_found")
        self.assertProblem(self.get(paid.pk, self.client), 401, "not_authenticated")
        unpaid = make_transaction(user=self.owner)
        self.assertProblem(
            self.get(unpaid.pk, self.signed_in(make_other_customer(email="third@example.com"))),
            404,
            "transaction_not_found",
        )
        for nobodys in (0, 10**9, 10**40):
            self.assertProblem(self.get(nobodys), 404, "transaction_not_found")

    def test_staff_may_be_given_any_by_name(self):
        paid = make_completed_transaction(user=self.owner)
        unpaid = make_transaction(user=self.owner)
        everything = Transaction.objects.all()
        with self.assertQueries(1):
            transaction = selectors.paid_transaction(paid.pk, among=everything)
            self.assertEqual(
                (transaction.user, transaction.voucher_type.pk), (self.owner, paid.voucher_type_id)
            )
        with self.assertRaises(NotPaid):
            selectors.paid_transaction(unpaid.pk, among=everything)
        with self.assertRaises(TransactionNotFound):
            selectors.paid_transaction(paid.pk, among=everything.filter(user=None))
