"""What was sold keeps its name, and a receipt that of its buyer, whatever type and buyer are called later."""

import csv
import importlib
import io
import threading
import time
from functools import partial
from importlib.util import find_spec
from unittest import skipUnless
from unittest.mock import patch

from django.apps import apps
from django.db import connection
from django.test import override_settings
from post_office.models import Email

from apps.payments import services
from apps.payments.models import Transaction
from apps.users import services as users
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_staff, make_user
from apps.vouchers import batch_csv
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Batch, Voucher, VoucherType
from apps.vouchers.services import batches, code_exports
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase, RaceTestCase

from .factories import intent_for, make_completed_transaction, make_transaction

READS_PDF = skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
OLD, NEW = "Exam Results 2025", "Results and Certificates"


class NamesOfSaleTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer(first_name="Ama", last_name="Mensah", email="ama@example.com")
        self.api = self.signed_in(self.customer)
        self.type = make_type(name=OLD, service_type="exam")
        self.paid = make_completed_transaction(user=self.customer, voucher_type=self.type, quantity=2)
        self.voucher = self.paid.vouchers[0]

    def rename(self):
        """Type and buyer are called otherwise from now on."""
        VoucherType.objects.filter(pk=self.type.pk).update(name=NEW, service_type="certificates")
        User.objects.filter(pk=self.customer.pk).update(
            first_name="Efua", last_name="Owusu", email="efua@example.com"
        )

    def get(self, address):
        response = self.api.get(address)
        self.assertEqual(response.status_code, 200, response.content[:500])
        return response.json()

    def test_the_api_shows_the_name_and_the_service_of_the_sale(self):
        self.api.post("/api/vouchers/redeem/", {"code": self.voucher.shown_code})
        self.rename()
        detail = self.get(f"/api/vouchers/detail/{self.voucher.shown_code}/")
        transaction = self.get(f"/api/payments/transaction/{self.paid.pk}/")
        shown = [
            detail["voucher_type"],
            transaction["voucher_type"],
            *(voucher["voucher_type"] for voucher in transaction["vouchers"]),
            *(row["voucher_type"] for row in self.get("/api/payments/history/")["results"]),
            *(row["voucher_type"] for row in self.get("/api/vouchers/my-vouchers/")["results"]),
        ]
        self.assertEqual({(each["name"], each["service_type"]) for each in shown}, {(OLD, "exam")})
        self.assertEqual({each["id"] for each in shown}, {self.type.pk})
        [usage] = self.get("/api/vouchers/usage-history/")["results"]
        self.assertEqual((usage["voucher_type_name"], detail["usages"][0]["voucher_type_name"]), (OLD, OLD))
        figures = self.get("/api/analytics/user/")
        self.assertEqual({event["voucher_type"] for event in figures["recent"]}, {OLD})
        # What is counted together is called what it is called today.
        self.assertEqual([row["voucher_type"]["name"] for row in figures["by_voucher_type"]], [NEW])
        [on_sale] = self.get("/api/vouchers/types/")
        self.assertEqual(on_sale["name"], NEW)

    @READS_PDF
    def test_so_do_the_receipt_and_the_printed_voucher(self):
        from tests.support.paper import text_of

        self.rename()
        receipt = self.api.get(f"/api/payments/transaction/{self.paid.pk}/receipt/").content
        for words in (OLD, "Ama Mensah", "ama@example.com"):
            self.assertIn(words, text_of(receipt))
        printed = self.api.get(f"/api/vouchers/detail/{self.voucher.shown_code}/pdf/").content
        self.assertIn(OLD, text_of(printed))
        for text in (text_of(receipt), text_of(printed)):
            for words in (NEW, "Efua", "efua@example.com"):
                self.assertNotIn(words, text)

    def test_so_do_mails_which_go_to_the_address_of_today(self):
        self.rename()
        Email.objects.all().delete()
        services.queue_receipt(Transaction.objects.get(pk=self.paid.pk))
        voucher_services.reissue_voucher(voucher_id=self.voucher.pk, actor=make_staff(), reason="x")
        expiring = self.voucher.expiry_date
        with override_settings(REMINDER_DAYS=[400]):
            Voucher.objects.update(purchase_date="2020-01-01T00:00Z", expiry_date=expiring)
            voucher_services.send_expiry_reminders(now=self.paid.created_at)
        mails = list(Email.objects.all())
        self.assertEqual(len(mails), 3)
        for mail in mails:
            self.assertEqual(mail.to, ["efua@example.com"])
            self.assertIn(OLD, mail.message)
            self.assertIn(OLD, mail.html_message)
            self.assertNotIn(NEW, mail.message + mail.html_message + mail.subject)

    def test_the_buyer_pays_for_what_they_saw_also_if_it_is_renamed_before_the_money_arrives(self):
        pending = make_transaction(user=self.customer, voucher_type=self.type, type_name=OLD)
        self.rename()
        services.apply_intent(intent_for(pending))
        paid = Transaction.objects.get(pk=pending.pk)
        self.assertEqual((paid.sold_as, paid.vouchers[0].sold_as), (OLD, OLD))
        self.assertEqual((paid.buyer_name, paid.buyer_email), ("Efua Owusu", "efua@example.com"))

    def test_a_purchase_keeps_the_name_from_its_start(self):
        free = make_type(name="Free", price=0)
        started = self.api.post("/api/vouchers/purchase/", {"voucher_type_id": free.pk}).json()
        VoucherType.objects.filter(pk=free.pk).update(name="Not free")
        paid = Transaction.objects.get(pk=started["transaction"]["id"])
        self.assertEqual((paid.type_name, paid.buyer_name), ("Free", "Ama Mensah"))
        self.assertEqual(paid.vouchers[0].type_name, "Free")

    def test_vouchers_of_a_batch_are_called_as_it_was_at_its_start(self):
        batch = batches.get_or_create_batch(voucher_type=self.type, owner=self.customer, quantity=3)
        batches._issue_chunk(batch.pk, 1)
        self.rename()
        batch = Batch.objects.get(pk=batch.pk)
        batches.issue_remaining(batch=batch)
        self.assertEqual({voucher.sold_as for voucher in batch.vouchers.all()}, {OLD})
        exported = code_exports.export_codes_by_operator(batch=batch)
        text = b"".join(batch_csv.parts(batch, exported)).decode()
        self.assertEqual({row["type"] for row in csv.DictReader(io.StringIO(text, newline=""))}, {OLD})

    def test_rows_from_before_show_what_type_and_buyer_are_called_today(self):
        Voucher.objects.update(type_name="")
        Transaction.objects.update(type_name="", buyer_name="", buyer_email="")
        self.rename()
        [shown] = self.get("/api/payments/history/")["results"]
        self.assertEqual(shown["voucher_type"]["name"], NEW)
        [event] = self.get("/api/analytics/user/")["recent"]
        self.assertEqual(event["voucher_type"], NEW)

    def test_the_migrations_fill_rows_from_before_chunk_by_chunk(self):
        batch = batches.get_or_create_batch(voucher_type=self.type, owner=self.customer, quantity=3)
        batches.issue_remaining(batch=batch)
        pending = make_transaction(user=self.customer, voucher_type=make_type(name="Other"))
        closed = make_completed_transaction(user=make_user(), voucher_type=self.type)
        users.close_account(user=closed.user, password=PASSWORD)
        one_name = make_completed_transaction(user=make_user(first_name="Suharto", last_name=""))
        complete = make_completed_transaction(user=self.customer, voucher_type=self.type)
        everything = [model.objects.order_by("pk") for model in (Transaction, Voucher, Batch)]
        before = [list(rows.values()) for rows in everything]
        for rows in everything[1:]:
            rows.exclude(pk__in=complete.vouchers.values("pk")).update(type_name="")
        others = Transaction.objects.exclude(pk=complete.pk)
        others.update(type_name="", buyer_name="", buyer_email="")
        for app, name in (("vouchers", "0011_fill_type_names"), ("payments", "0009_fill_names_of_sale")):
            module = importlib.import_module(f"apps.{app}.migrations.{name}")
            for _ in range(2):
                with patch.object(module, "CHUNK", 2):
                    module.fill(apps, None)
        after = [list(rows.values()) for rows in everything]
        for row in (*before[0], *after[0]):
            if row["id"] == pending.pk:  # what nobody paid for has no buyer, and got its name from its start
                self.assertEqual(row["buyer_email"], "")
                row["type_name"] = "Other"
        self.assertEqual(after, before)
        one_name.refresh_from_db()
        self.assertEqual(one_name.buyer_name, "Suharto")


class BuyersOfClosedAccountsTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer(first_name="Ama", last_name="Mensah", email="ama@example.com")
        self.api = self.signed_in(self.customer)

    def buyer(self, paid):
        return Transaction.objects.values_list("buyer_name", "buyer_email").get(pk=paid.pk)

    def test_closing_the_account_erases_who_the_buyer_was_and_keeps_what_was_sold(self):
        other = make_completed_transaction(user=make_user())
        paid = make_completed_transaction(user=self.customer, voucher_type=make_type(name=OLD))
        self.assertEqual(self.buyer(paid), ("Ama Mensah", "ama@example.com"))
        self.assertEqual(self.api.delete("/api/users/profile/", {"password": PASSWORD}).status_code, 204)
        paid.refresh_from_db()
        self.assertEqual((self.buyer(paid), paid.sold_as, paid.amount), (("", ""), OLD, 10))
        self.assertNotEqual(self.buyer(other), ("", ""))

    def test_a_success_after_the_closing_keeps_no_name(self):
        pending = make_transaction(user=self.customer)
        users.close_account(user=self.customer, password=PASSWORD)
        services.apply_intent(intent_for(pending))
        self.assertEqual(self.buyer(pending), ("", ""))

    def test_the_export_has_them(self):
        paid = make_completed_transaction(user=self.customer)
        User.objects.filter(pk=self.customer.pk).update(first_name="Efua")
        [exported] = self.api.get("/api/users/export/").json()["transactions"]
        self.assertEqual((exported["id"], exported["buyer_name"]), (paid.pk, "Ama Mensah"))
        self.assertEqual(exported["buyer_email"], "ama@example.com")
        self.assertNotIn("buyer_name", self.api.get("/api/payments/history/").json()["results"][0])

    def test_staff_see_them(self):
        paid = make_completed_transaction(user=self.customer, voucher_type=make_type(name=OLD))
        VoucherType.objects.update(name=NEW)
        User.objects.filter(pk=self.customer.pk).update(first_name="Efua")
        self.client.force_login(make_staff())
        page = self.client.get(f"/admin/payments/transaction/{paid.pk}/change/")
        for words in (OLD, "Ama Mensah", "ama@example.com"):
            self.assertContains(page, words)
        page = self.client.get(f"/admin/vouchers/voucher/{paid.vouchers[0].pk}/change/")
        self.assertContains(page, OLD)
        self.assertContains(page, NEW)

    @READS_PDF
    def test_a_receipt_made_later_names_nobody(self):
        from tests.support.paper import text_of

        paid = make_completed_transaction(user=self.customer)
        users.close_account(user=self.customer, password=PASSWORD)
        text = text_of(services.print_receipt(Transaction.objects.get(pk=paid.pk)).content)
        self.assertIn("(account closed)", text)
        self.assertNotIn("Mensah", text)


class ClosingWhilePayingTests(RaceTestCase):
    def race(self):
        """A payment gets its vouchers while its buyer closes the account: what is kept of the buyer."""
        buyer = make_user()
        pending = make_transaction(user=buyer)
        written = threading.Event()
        issue_vouchers = voucher_services.issue_vouchers

        def slow_issue(**sale):
            written.set()
            time.sleep(0.5)
            return issue_vouchers(**sale)

        def close():
            written.wait(20)
            users.close_account(user=User.objects.get(pk=buyer.pk), password=PASSWORD)

        with patch.object(voucher_services, "issue_vouchers", slow_issue):
            self.together(partial(services.apply_intent, intent_for(pending)), close)
        return Transaction.objects.values_list("status", "buyer_name", "buyer_email").get(pk=pending.pk)

    def test_a_name_that_is_being_written_is_erased_with_the_account(self):
        self.assertEqual(self.race(), ("completed", "", ""))

    @skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
    def test_control_the_same_race_catches_one_that_does_not_keep_the_account_open(self):
        with patch.object(users, "stays_open", lambda user_id: True):
            self.assertNotEqual(self.race()[1:], ("", ""))

    def test_both_at_once_wait_for_each_other_in_one_direction_only(self):
        for _ in range(self.rounds):
            buyer = make_user()
            pending = make_transaction(user=buyer)
            close = partial(users.close_account, user=User.objects.get(pk=buyer.pk), password=PASSWORD)
            self.together(partial(services.apply_intent, intent_for(pending)), close)
            sales = Transaction.objects.values_list("status", "buyer_name", "buyer_email")
            self.assertEqual(sales.get(pk=pending.pk), ("completed", "", ""))
