"""Prices of types on sale: what could not be paid by card is refused where a type is made or edited."""

from decimal import Decimal
from typing import Any

from django.test import Client

from apps.core.errors import DomainError
from apps.payments import gateway, stripe_amounts
from apps.users.tests.factories import make_staff, make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import VoucherType
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase

TYPES = "/admin/vouchers/vouchertype/"
PURCHASE = "/api/vouchers/purchase/"
# What a price is, and in which currency, that nobody could pay by card.
NOT_PAYABLE = (
    ("10.50", "JPY"),
    ("49", "JPY"),
    ("49", "KRW"),
    ("0.30", "USD"),
    ("0.49", "ZAR"),
    ("1000000.00", "USD"),
    ("10.00", "XYZ"),
    ("10.00", "XXX"),
    ("10.00", "SLL"),  # replaced by SLE
    ("10.00", "ISK"),
    ("10.00", "UGX"),
)
MARKETS = ("GHS", "NGN", "GMD", "SLE", "LRD")


class PricesOfTypesTests(StripeTestCase, ApiTestCase):
    client_class: Any = Client  # it speaks as a browser does

    def setUp(self):
        super().setUp()
        self.client.force_login(make_staff())
        self.buyer = self.signed_in(make_user())

    def save(self, address, **values):
        """Send the form of a type as its page would, with the values that stood there when it was opened."""
        body = {"name": "New", "service_type": "exam", "validity_days": "365", "max_uses": "1"}
        return self.client.post(address, {"description": "", "is_active": "on", **body, **values})

    def words_of_purchase(self, price, currency):
        """What a buyer is told who tries to buy one of such a type."""
        voucher_type = make_type(price=price, currency=currency)
        document = self.buyer.post(PURCHASE, {"voucher_type_id": voucher_type.pk}).json()
        voucher_type.delete()
        return document["detail"]

    def test_the_admin_puts_no_type_on_sale_that_nobody_could_buy_and_says_so_in_the_same_words(self):
        for price, currency in NOT_PAYABLE:
            with self.subTest(price=price, currency=currency):
                words = self.words_of_purchase(price, currency)
                response = self.save(f"{TYPES}add/", price=price, currency=currency)
                self.assertEqual(response.status_code, 200)
                self.assertIn(words, response.context["adminform"].form.errors["price"])
                self.assertFalse(VoucherType.objects.exists())

    def test_nor_does_an_edit(self):
        voucher_type = make_type(name="New", service_type="exam")
        for price, currency in NOT_PAYABLE:
            with self.subTest(price=price, currency=currency):
                response = self.save(f"{TYPES}{voucher_type.pk}/change/", price=price, currency=currency)
                self.assertEqual(response.status_code, 200)
                self.assertTrue(response.context["adminform"].form.errors["price"])
                voucher_type.refresh_from_db()
                self.assertEqual((voucher_type.price, voucher_type.currency), (Decimal("10.00"), "USD"))

    def test_a_type_that_nobody_can_buy_can_be_taken_off_sale_and_comes_back_only_with_another_price(self):
        voucher_type = make_type(name="New", service_type="exam", price="10.50", currency="JPY")
        address = f"{TYPES}{voucher_type.pk}/change/"
        off_sale = {"is_active": "", "initial-is_active": "True"}
        self.assertEqual(self.save(address, price="10.50", currency="JPY", **off_sale).status_code, 302)
        voucher_type.refresh_from_db()
        self.assertFalse(voucher_type.is_active)
        self.assertEqual(self.save(address, price="10.50", currency="JPY").status_code, 200)
        self.assertEqual(self.save(address, price="1050", currency="JPY").status_code, 302)
        voucher_type.refresh_from_db()
        self.assertEqual((voucher_type.is_active, voucher_type.price), (True, Decimal(1050)))

    def test_a_type_of_each_currency_that_is_accepted_can_be_bought(self):
        for currency in sorted(stripe_amounts.SUPPORTED):
            with self.subTest(currency):
                response = self.save(f"{TYPES}add/", name=currency, price="2000", currency=currency)
                self.assertEqual(response.status_code, 302)
                voucher_type = VoucherType.objects.get(name=currency)
                bought = self.buyer.post(PURCHASE, {"voucher_type_id": voucher_type.pk})
                self.assertEqual(bought.status_code, 201, bought.content)
        self.assertLessEqual(set(MARKETS), stripe_amounts.SUPPORTED)

    def test_a_free_type_has_no_price_to_be_paid(self):
        response = self.save(f"{TYPES}add/", price="0", currency="XYZ")
        self.assertEqual(response.status_code, 302)

    def test_the_least_that_stripe_documents_is_accepted_and_a_hundredth_less_is_not(self):
        for currency, least in stripe_amounts.MINIMUM.items():
            with self.subTest(currency):
                gateway.check_price(least, 1, currency)
                with self.assertRaises(DomainError):
                    gateway.check_price(least - Decimal("0.01"), 1, currency)

    def test_what_a_command_makes_is_checked_too(self):
        values: Any = {"service_type": "exam", "validity_days": 365, "max_uses": 1}
        for price, currency in NOT_PAYABLE:
            with self.subTest(price=price, currency=currency), self.assertRaises(DomainError):
                voucher_services.save_voucher_type(
                    name="New", price=Decimal(price), currency=currency, **values
                )
        self.assertFalse(VoucherType.objects.exists())
