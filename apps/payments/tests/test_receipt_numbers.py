"""Receipts are numbered without gaps, and every sale has one, whichever version completed it."""

import importlib
from datetime import timedelta
from io import StringIO
from typing import Any
from unittest import mock, skipUnless

from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.payments import services, tasks
from apps.payments.models import Receipt, ReceiptCounter, Transaction
from apps.payments.services import receipt_rows, receipts
from apps.users.tests.factories import make_user
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .factories import as_by_older_version, intent_for, make_completed_transaction, make_transaction


def numbers():
    return list(Receipt.objects.order_by("number").values_list("number", flat=True))


class NumbersTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_user()

    def buy(self, **options):
        return make_completed_transaction(user=self.customer, **options)

    def older_sales(self, *days_ago):
        """Sales that a version without receipts completed, so many days ago each."""
        now = timezone.now()
        sales = [self.buy(completed_at=now - timedelta(days=days)) for days in days_ago]
        as_by_older_version(*sales)
        return sales

    def test_each_sale_draws_the_next_and_a_free_one_too(self):
        self.buy()
        free = make_type(price=0)
        self.signed_in(self.customer).post("/api/vouchers/purchase/", {"voucher_type_id": free.pk})
        self.buy(quantity=3)
        self.assertEqual(numbers(), [1, 2, 3])
        self.assertEqual(ReceiptCounter.objects.get().last_number, 3)
        self.assertEqual(Receipt.objects.get(number=2).amount, 0)
        self.assertEqual(broken_rules(), {})

    def test_the_api_names_it_with_the_transaction_wherever_that_is_shown(self):
        self.buy()
        api = self.signed_in(self.customer)
        unpaid = make_transaction(user=self.customer)
        free = api.post("/api/vouchers/purchase/", {"voucher_type_id": make_type(price=0).pk}).json()
        self.assertEqual(free["transaction"]["receipt_number"], 2)
        shown = {
            row["id"]: row["receipt_number"] for row in api.get("/api/payments/history/").json()["results"]
        }
        expected = {**dict(Receipt.objects.values_list("transaction", "number")), unpaid.pk: None}
        self.assertEqual(shown, expected)
        self.assertEqual(sorted(filter(None, shown.values())), [1, 2])
        for number, receipt_number in expected.items():
            detail = api.get(f"/api/payments/transaction/{number}/").json()
            self.assertEqual(detail["receipt_number"], receipt_number)
        exported = api.get("/api/users/export/").json()["transactions"]
        self.assertEqual({row["id"]: row["receipt_number"] for row in exported}, expected)

    def test_the_api_has_none_of_a_sale_whose_receipt_is_still_to_be_issued(self):
        [sale] = self.older_sales(1)
        api = self.signed_in(self.customer)
        for address in ("history/", f"transaction/{sale.pk}/"):
            answer = api.get(f"/api/payments/{address}").json()
            [shown] = answer.get("results", [answer])
            self.assertEqual((shown["status"], shown["receipt_number"]), ("completed", None))

    def test_a_sale_that_is_not_completed_leaves_no_gap(self):
        self.buy()
        failing = make_transaction(user=self.customer)
        insert = receipt_rows.insert_receipt

        def interrupted(receipt):
            insert(receipt)
            raise KeyboardInterrupt

        broken = mock.patch.object(receipt_rows, "insert_receipt", interrupted)
        with broken, self.assertRaises(KeyboardInterrupt):
            services.apply_intent(intent_for(failing))
        self.assertEqual(numbers(), [1])
        self.buy()
        self.assertEqual(numbers(), [1, 2])
        services.apply_intent(intent_for(failing))
        self.assertEqual(numbers(), [1, 2, 3])

    def test_what_was_not_paid_draws_none(self):
        make_transaction(user=self.customer)
        services.apply_intent(intent_for(make_transaction(user=self.customer), status="processing"))
        self.assertEqual((numbers(), Transaction.objects.count()), ([], 2))

    def test_a_counter_that_is_gone_goes_on_after_the_last_receipt(self):
        self.buy()
        for _ in range(2):
            ReceiptCounter.objects.all().delete()
            self.buy()
        ReceiptCounter.objects.all().delete()
        receipt_rows.insert_receipts([receipts._worded(sale, []) for sale in self.older_sales(1)])
        self.assertEqual(numbers(), [1, 2, 3, 4])

    @skipUnless(connection.vendor == "postgresql", "there the ORM's form is the only one")
    def test_both_forms_write_the_same(self):
        rows, kind = [], make_type()
        for form in (receipt_rows.insert_in_one_statement, receipt_rows.insert_by_orm):
            with mock.patch.object(receipt_rows, "insert_in_one_statement", form):
                self.buy(quantity=2, voucher_type=kind)
            row: dict[str, Any] = {**Receipt.objects.values()[0]}
            rows.append({name: row[name] for name in row if name not in ("id", "transaction_id", "paid_at")})
            rows[-1]["endings"] = len(rows[-1].pop("code_endings"))
        self.assertEqual(rows[0] | {"number": 2}, rows[1])

    def test_an_older_versions_sale_gets_its_receipt_when_it_is_printed_first(self):
        (older,) = self.older_sales(1)
        self.buy()
        api = self.signed_in(self.customer)
        address = f"/api/payments/transaction/{older.pk}/receipt/"
        first, second = api.get(address), api.get(address)
        self.assertEqual((first.status_code, first.content), (200, second.content))
        receipt = Receipt.objects.get(transaction=older)
        self.assertEqual((receipt.number, receipt.paid_at, numbers()), (2, older.completed_at, [1, 2]))
        self.assertEqual(receipt.code_endings, older.vouchers[0].code[-4:])

    def test_or_by_the_mail_that_has_it(self):
        (older,) = self.older_sales(1)
        [attachment] = services.receipt_attachments(transaction_id=older.pk)
        self.assertEqual((attachment.name, numbers()), ("receipt-1.pdf", [1]))

    def test_or_by_the_job_in_the_order_of_completion(self):
        older = self.older_sales(3, 5, 4, 8)
        self.buy()
        self.assertEqual(broken_rules(), {"receipt_of_sale": [sale.pk for sale in older]})
        with mock.patch.object(receipts, "CHUNK", 2):
            self.assertEqual(tasks.issue_missing_receipts(), 3)
        in_order = Transaction.objects.filter(receipt__number__gt=1).order_by("receipt__number")
        self.assertEqual([sale.pk for sale in in_order], [older[index].pk for index in (1, 2, 0)])
        self.assertEqual(tasks.issue_missing_receipts(), 0)
        output = StringIO()
        call_command("issue_receipts", stdout=output)  # the one that is older than a week
        self.assertIn("Receipts issued: 1.", output.getvalue())
        self.assertEqual((numbers(), broken_rules()), ([1, 2, 3, 4, 5], {}))

    def test_the_job_looks_through_a_limited_number_of_sales_at_a_time(self):
        now = timezone.now()
        sales = [self.buy(completed_at=now - timedelta(days=days)) for days in (6, 5, 5, 5, 4, 3, 2)]
        lacking = [sales[0], sales[2], sales[3], sales[5], sales[6]]
        as_by_older_version(*lacking)
        for limit in (1, 2, 3):
            with self.subTest(limit=limit), transaction.atomic():
                with (
                    mock.patch.object(receipts, "LOOKED_THROUGH", limit),
                    CaptureQueriesContext(connection) as queries,
                ):
                    self.assertEqual(sum(services.issue_missing_receipts()), 5)
                numbered = Transaction.objects.filter(pk__in=[sale.pk for sale in lacking])
                issued = numbered.filter(receipt__isnull=False).order_by("receipt__number")
                self.assertEqual([sale.pk for sale in issued], [sale.pk for sale in lacking])
                searches = [query["sql"] for query in queries if "NOT EXISTS" in query["sql"]]
                self.assertGreater(sum("<=" in sql for sql in searches), 1)
                transaction.set_rollback(True)

    def test_the_migration_numbers_all_earlier_sales_in_the_order_of_completion(self):
        first = self.buy()
        expected = Receipt.objects.filter(transaction=first).values().get()
        older = [first, *self.older_sales(400, 500, 10)]
        make_transaction(user=self.customer)
        as_by_older_version(*older)
        fill = importlib.import_module("apps.payments.migrations.0018_fill_receipts")
        with mock.patch.object(fill, "CHUNK", 2):
            for _ in range(2):  # done again, it finds no more
                fill.fill(apps, connection.schema_editor())
        in_order = Transaction.objects.filter(receipt__number__gt=0).order_by("receipt__number")
        self.assertEqual([sale.pk for sale in in_order], [older[index].pk for index in (2, 1, 3, 0)])
        stored = Receipt.objects.filter(transaction=first).values().get()
        self.assertEqual(stored | {"id": 0, "number": 0}, expected | {"id": 0, "number": 0})
        self.assertEqual(broken_rules(), {})
        self.buy()
        self.assertEqual(numbers(), [1, 2, 3, 4, 5])
