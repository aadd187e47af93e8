"""The one search of the admin: whatever somebody has in front of them leads to its page."""

import re
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import Permission
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.payments import services
from apps.payments.models import Transaction
from apps.payments.tests.factories import transaction_row
from apps.payments.tests.money import PaidTestCase
from apps.users.tests.factories import make_user
from apps.vouchers import codes
from apps.vouchers.models import Batch
from apps.vouchers.tests.factories import make_batch_vouchers
from tests.support.cases import ApiTestCase

SEARCH = "/admin/search/"
VIEWS = "view_voucher view_batch view_transaction view_refund view_dispute view_user".split()


class SearchTests(PaidTestCase, ApiTestCase):
    client_class: Any = Client  # it speaks as a browser does

    def setUp(self):
        super().setUp()
        self.paid = self.buy(2)
        self.voucher, self.other = self.paid.vouchers
        self.desk = make_user(is_staff=True, email="desk@example.org")
        self.desk.user_permissions.set(Permission.objects.filter(codename__in=VIEWS))
        self.client.force_login(self.desk)

    def search(self, text):
        return self.client.post(SEARCH, {"q": text})

    def assertLeadsTo(self, text, row):
        response = self.search(text)
        address = f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"
        self.assertRedirects(response, address, msg_prefix=text, fetch_redirect_response=False)

    def test_a_code_in_any_spelling_leads_to_its_voucher(self):
        code = self.voucher.code
        for text in (
            code,
            self.voucher.shown_code.lower(),
            f" {code[:4]} {code[4:8]} {code[8:12]} {code[12:]} ",
            f"https://shop.example/redeem#code={self.voucher.shown_code}",
            code[-4:],
            f"····-{code[-4:].lower()}",
        ):
            self.assertLeadsTo(text, self.voucher)

    def test_no_page_sends_what_is_typed_in_an_address(self):
        page = self.client.get("/admin/")
        self.assertContains(page, f'<form action="{SEARCH}" method="post"')
        self.assertNotContains(page, f'hx-get="{SEARCH}')  # of unfold's own search, by Ctrl-K

    def test_a_mistyped_code_is_called_so_and_an_unknown_one_too(self):
        code = self.voucher.code
        wrong = ("2" if code[0] != "2" else "3") + code[1:]
        page = self.search(wrong)
        self.assertContains(page, "mistyped")
        self.assertNotContains(page, wrong)
        unknown = codes.make()
        page = self.search(unknown)
        self.assertContains(page, "No voucher has this code")
        self.assertNotContains(page, unknown)

    def test_payments_refunds_and_disputes_are_found_by_our_numbers_and_by_those_of_stripe(self):
        self.assertLeadsTo(str(self.paid.pk), self.paid)
        refund = self.refund(self.buy(1))
        dispute_id = self.stripe.dispute(self.paid.stripe_payment_intent_id)["id"]
        services.sync_dispute(dispute_id)
        dispute = self.paid.disputes.get()
        [charge] = self.stripe.charges(self.paid.stripe_payment_intent_id)
        for text, row in (
            (str(self.paid.reference), self.paid),
            (self.paid.stripe_payment_intent_id, self.paid),
            (charge["id"], self.paid),
            (refund.stripe_refund_id, refund),
            (f"Refund {refund.pk}", refund),
            (dispute_id, dispute),
        ):
            with self.subTest(text):
                self.assertLeadsTo(text, row)

    def test_the_number_of_a_receipt_leads_to_its_payment_and_never_to_another_one_alone(self):
        self.start(1)  # so that payments and receipts are not numbered alike
        paid = self.buy(1)
        number = paid.receipt.number
        self.assertNotEqual(number, paid.pk)
        self.assertLeadsTo(f"Receipt {number}", paid)
        if not Transaction.objects.filter(pk=number).exists():
            transaction_row(user=self.customer, voucher_type=paid.voucher_type, id=number).save()
        page = self.search(str(number))
        for each in (paid.pk, number):
            self.assertContains(page, f"/admin/payments/transaction/{each}/change/")
        self.assertContains(page, f"receipt {number}, 1 ×")

    def test_people_and_batches_are_found_by_their_names(self):
        make_batch_vouchers(owner=self.customer, quantity=1)
        batch = Batch.objects.get()
        nora = make_user(email="nora@example.net", first_name="Nora", last_name="N'Ko")
        for text, row in ((batch.label, batch), ("nora@example.net", nora), ("n'ko NORA", nora)):
            with self.subTest(text):
                self.assertLeadsTo(text, row)

    def test_what_names_one_row_is_not_looked_for_in_the_names_of_all_people(self):
        refund = self.refund(self.buy(1))
        for text in (
            self.voucher.code,
            str(self.paid.reference),
            self.paid.stripe_payment_intent_id,
            refund.stripe_refund_id,
            self.customer.email.upper(),
        ):
            with self.subTest(text), CaptureQueriesContext(connection) as queries:
                self.assertEqual(self.search(text).status_code, 302)
            self.assertFalse(self.looked_into_names(queries))
        with CaptureQueriesContext(connection) as queries:
            self.search("Nora")
        self.assertTrue(self.looked_into_names(queries))

    @staticmethod
    def looked_into_names(queries):
        return any(re.search(r'"first_name"[^,]* LIKE ', each["sql"]) for each in queries)

    def test_people_whom_the_database_did_not_find_in_time_hide_no_other_hit(self):
        make_batch_vouchers(owner=self.customer, quantity=1)
        Batch.objects.update(label="Nora's shop")
        with (
            patch("apps.users.admin.Q", side_effect=OperationalError("canceling statement")),
            self.assertLogs("apps.core.backoffice.search", "WARNING"),
        ):
            page = self.search("Nora")
        self.assertContains(page, "People could not be searched in time")
        self.assertContains(page, "Nora&#x27;s shop")

    def test_several_hits_are_listed_and_none_says_so(self):
        page = self.search("@example.")
        self.assertContains(page, self.customer.email)
        self.assertContains(page, self.desk.email)
        self.assertContains(self.search("nobody at all"), "Nothing has this code, number or name among")

    def test_each_kind_needs_its_permission(self):
        self.desk.user_permissions.set(Permission.objects.filter(codename="view_user"))
        for text in (self.voucher.code, self.voucher.shown_code, str(self.paid.reference)):
            page = self.search(text)
            self.assertContains(page, "among: People.")
            self.assertNotContains(page, self.customer.email)

    def test_who_is_no_staff_gets_the_sign_in(self):
        self.client.force_login(self.customer)
        self.assertRedirects(self.search("x"), f"/admin/login/?next={SEARCH}", fetch_redirect_response=False)

    def test_nonsense_is_answered(self):
        for text in (
            "",
            " ",
            "\0",
            "9" * 40,
            "x" * 10_000,
            "%",
            "ch_none",
            "pi_",
            "''--",
            "🎟",
            "\ud7ff" * 50,
        ):
            with self.subTest(text[:20]):
                self.assertEqual(self.search(text).status_code, 200)
        self.assertEqual(self.client.get(f"{SEARCH}?s=x&page=x").status_code, 200)

    def test_while_stripe_is_away_a_charge_says_so(self):
        self.stripe.add_fault(method="GET", path="^/v1/charges/", status=503, times=5)
        self.assertContains(self.search("ch_1"), "Stripe does not answer")

    def test_the_box_stands_on_every_page(self):
        page = self.client.get("/admin/vouchers/voucher/")
        self.assertContains(page, f'action="{SEARCH}"')

    def test_where_there_is_more_than_one_hit_no_page_has_the_code(self):
        ending = self.voucher.code[-4:]
        make_batch_vouchers(owner=self.customer, quantity=1)
        Batch.objects.update(label=f"Lost carton {ending}")
        page = self.search(ending)
        self.assertContains(page, "Lost carton")
        self.assertContains(page, f"Voucher ····-{ending}")
        self.assertNotContains(page, self.voucher.code)
