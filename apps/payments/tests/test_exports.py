"""Lists of the admin exported as they are filtered: the rows of the list, nothing secret, on the record."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from threading import BoundedSemaphore
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.contrib.auth.models import Permission
from django.db import OperationalError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.core.backoffice import exports as screens
from apps.core.models import DataExport
from apps.payments.models import Refund
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_batch_vouchers, make_type

from .factories import make_transaction
from .staff import REFUNDS, TRANSACTIONS, USAGES, VOUCHERS, StaffTestCase

LISTS = {
    VOUCHERS: "export_voucher",
    USAGES: "export_usage",
    TRANSACTIONS: "export_transaction",
    REFUNDS: "export_refund",
}


def rows_of(response: Any) -> list[dict[str, str]]:
    text = response.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


class ExportTestCase(StaffTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.allow(*LISTS.values())
        # What a test leaves unread is not for the next.
        self.enterContext(patch.object(screens, "_slots", BoundedSemaphore(screens.EXPORTS_AT_ONCE)))

    def export(self, address: str, query: str = "", **form: str) -> Any:
        return self.client.post(f"{address}export/?{query}", {"file_type": "csv", **form})

    def exported(self, address: str, query: str = "", **form: str) -> list[dict[str, str]]:
        response = self.export(address, query, **form)
        self.assertEqual(response["Content-Type"], "text/csv; charset=utf-8")
        return rows_of(response)

    def numbers(self, *arguments: Any, **form: str) -> set[int]:
        return {int(row["number"]) for row in self.exported(*arguments, **form)}


class FilteredListTests(ExportTestCase):
    def test_it_has_the_rows_of_the_list_whatever_it_is_filtered_by(self) -> None:
        voucher_services.suspend_vouchers([self.third.pk], actor=self.staff, reason="x")
        other_type = make_type(name="Other", currency="EUR")
        make_transaction(user=self.customer, voucher_type=other_type)
        make_batch_vouchers(owner=self.staff, quantity=2, currency="EUR")
        for address, query in (
            (VOUCHERS, ""),
            (VOUCHERS, "status=inactive"),
            (VOUCHERS, "status=nonsense"),
            (VOUCHERS, f"voucher_type__id__exact={other_type.pk}"),
            (VOUCHERS, f"q={self.staff.email}"),
            (VOUCHERS, f"q={self.used.code[-4:]}"),
            (VOUCHERS, f"q={self.used.code}"),
            (VOUCHERS, "q=nobody&status=active"),
            (USAGES, ""),
            (USAGES, "given_back=yes"),
            (USAGES, "given_back=no"),
            (TRANSACTIONS, ""),
            (TRANSACTIONS, "status__exact=pending"),
            (TRANSACTIONS, "currency=EUR"),
            (TRANSACTIONS, f"q={self.paid.stripe_payment_intent_id}"),
            (TRANSACTIONS, f"q={self.used.code}"),
            (REFUNDS, ""),
            (REFUNDS, "status__exact=requested"),
            (REFUNDS, "status__exact=succeeded"),
            (REFUNDS, "o=-3&p=0"),
        ):
            with self.subTest(address=address, query=query):
                page = self.client.get(f"{address}?{query}")
                self.assertEqual(page.status_code, 200)
                listed = {row.pk for row in page.context["cl"].result_list}
                self.assertEqual(self.numbers(address, query), listed)

    def test_the_button_leads_on_with_the_filters_and_back(self) -> None:
        page = self.client.get(f"{VOUCHERS}?status=active&o=-2")
        self.assertContains(page, f'href="{VOUCHERS}export/?status=active&amp;o=-2"')
        page = self.client.get(f"{VOUCHERS}export/?status=active&o=-2")
        self.assertContains(page, f'href="{VOUCHERS}?status=active&amp;o=-2"')
        self.assertContains(page, "status: Active")
        self.assertContains(
            page, f"{Voucher.objects.filter(uses_remaining__gt=0, is_active=True).count()} vouchers"
        )
        self.assertEqual(DataExport.objects.count(), 0)

    def test_days_are_local_and_whole(self) -> None:
        moments = {
            "before": datetime(2026, 3, 8, 4, 59, 59, 999_999, tzinfo=UTC),
            "first": datetime(2026, 3, 8, 5, tzinfo=UTC),
            "last": datetime(2026, 3, 9, 3, 59, 59, 999_999, tzinfo=UTC),  # an hour less: clocks went forward
            "after": datetime(2026, 3, 9, 4, tzinfo=UTC),
        }
        ids = {name: make_transaction(user=self.customer, created_at=at).pk for name, at in moments.items()}
        with override_settings(TIME_ZONE="America/New_York"):
            form = {"days": "started", "first": "2026-03-08", "last": "2026-03-08"}
            rows = self.exported(TRANSACTIONS, **form)
            self.assertEqual({int(row["number"]) for row in rows}, {ids["first"], ids["last"]})
            self.assertEqual(
                [(row["started (America/New York)"], row["started, offset"]) for row in rows],
                [("2026-03-08 00:00:00", "UTC-05:00"), ("2026-03-08 23:59:59", "UTC-04:00")],
            )
            later = self.numbers(TRANSACTIONS, days="started", first="2026-03-09")
            earlier = self.numbers(TRANSACTIONS, days="started", last="2026-03-07")
        self.assertIn(ids["after"], later)
        self.assertEqual(earlier, {ids["before"]})
        self.assertTrue(DataExport.objects.filter(criteria="started from 2026-03-08 to 2026-03-08").exists())

    def test_what_is_no_choice_is_said_and_nothing_leaves(self) -> None:
        for form, words in (
            ({"file_type": "pdf"}, "Select a valid choice"),
            ({"file_type": ""}, "This field is required"),
            ({"first": "x"}, "Enter a valid date"),
            ({"first": "2026-02-30"}, "Enter a valid date"),
            ({"first": "0001-01-01"}, "between 1970-01-01"),
            ({"last": "9999-12-31"}, "between 1970-01-01"),
            ({"first": "2026-02-02", "last": "2026-02-01"}, "not after the last"),
            ({"days": "x"}, "Select a valid choice"),
            ({"days": "\0"}, "Select a valid choice"),
        ):
            with self.subTest(form):
                self.assertContains(self.export(TRANSACTIONS, **form), words)
        for query in ("status__exact=x", "id__in=x", "p=x"):
            self.assertIn(self.export(TRANSACTIONS, query).status_code, (200, 302), query)
        self.assertEqual(self.export(TRANSACTIONS, "user__password__startswith=a").status_code, 400)
        self.assertFalse(DataExport.objects.exclude(table="transactions").exists())

    def test_more_rows_than_from_here_are_refused_with_the_command(self) -> None:
        with patch.object(screens, "MAX_STREAMED_ROWS", 1), patch.object(screens, "MAX_WRITTEN_ROWS", 0):
            for file_type, at_most in (("csv", "1 as CSV"), ("xlsx", "0 as XLSX")):
                response = self.export(TRANSACTIONS, file_type=file_type)
                self.assertContains(response, f"2 rows; from here at most {at_most}")
                self.assertContains(response, "manage.py export_transactions")
            self.assertEqual(DataExport.objects.count(), 0)
            self.assertEqual(len(self.exported(TRANSACTIONS, f"q={self.paid.stripe_payment_intent_id}")), 1)

    def test_it_asks_the_database_as_often_for_many_rows_as_for_few(self) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                for address in LISTS:
                    self.exported(address)
            return len(captured)

        queries()
        before = queries()
        make_batch_vouchers(owner=self.customer, quantity=20)
        for _ in range(5):
            make_transaction(user=self.customer)
        self.assertEqual(queries(), before)


class ContentTests(ExportTestCase):
    def test_no_file_has_a_code(self) -> None:
        spelt = self.voucher.shown_code
        self.type.name = f"Instead of {spelt}"
        self.type.save()
        Voucher.objects.update(type_name="")
        Refund.objects.update(
            reason=f"It was {spelt}", decision_note=self.voucher.code.lower(), failure_reason=spelt
        )
        voucher_services.reverse_usage(usage_id=self.usage.pk, actor=self.staff, reason="x")
        for address in LISTS:
            for file_type in ("csv", "csv-semicolon", "xlsx"):
                content = self.export(address, file_type=file_type).getvalue()
                text = self.text_of(content) if file_type == "xlsx" else content.decode()
                for code in Voucher.objects.values_list("code", flat=True):
                    plain = text.upper().replace("-", "").replace(" ", "")
                    self.assertNotIn(code, plain)
                    self.assertNotIn(code[:12], plain)
        [row] = self.exported(USAGES)
        self.assertEqual(row["code"], f"····-{self.used.code[-4:]}")

    def text_of(self, content: bytes) -> str:
        import openpyxl

        [sheet] = openpyxl.load_workbook(io.BytesIO(content)).worksheets
        return "\n".join(str(value) for row in sheet.values for value in row)

    def test_sums_of_the_columns_are_the_figures(self) -> None:
        self.refund(self.buy(2))
        euros = make_type(price="7.50", currency="EUR")
        make_transaction(user=self.customer, voucher_type=euros)  # which nobody pays
        sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for row in self.exported(TRANSACTIONS):
            for name in ("received", "refunded", "net"):
                sums[row["currency"]][name] += Decimal(row[name] or 0)
        went_back = sum(Decimal(row["went back"] or 0) for row in self.exported(REFUNDS))
        figures = self.signed_in(self.staff).get("/api/analytics/revenue/").json()
        totals = figures["totals"]
        self.assertEqual(
            {name: f"{value:.2f}" for name, value in sums["USD"].items()},
            {"received": totals["gross"], "refunded": totals["refunded"], "net": totals["net"]},
        )
        self.assertEqual(went_back, sums["USD"]["refunded"])
        self.assertEqual(sums["EUR"]["received"], 0)

    def test_awkward_texts_arrive_as_they_are_and_run_nowhere(self) -> None:
        Refund.objects.update(reason='=HYPERLINK("x","y")\nline two', decision_note="مرحبا 🎓, „ok“")
        row = self.exported(REFUNDS)[0]
        self.assertEqual(row["reason"], '\'=HYPERLINK("x","y")\nline two')
        self.assertEqual(row["note of the decision"], "مرحبا 🎓, „ok“")

    @skipUnless(find_spec("openpyxl"), "comes with requirements-dev.txt")
    def test_a_workbook_has_real_times_and_amounts(self) -> None:
        import openpyxl

        response = self.export(TRANSACTIONS, file_type="xlsx")
        self.assertEqual(
            response["Content-Disposition"],
            f'attachment; filename="transactions-{timezone.localdate()}.xlsx"',
        )
        [sheet] = openpyxl.load_workbook(io.BytesIO(response.getvalue())).worksheets
        header, row, *_ = sheet.values
        cells = dict(zip(header, row, strict=True))
        self.assertEqual((cells["number"], cells["received"], cells["currency"]), (self.paid.pk, 30, "USD"))
        paid_at = timezone.localtime(self.paid.completed_at).replace(tzinfo=None)
        self.assertLess(abs(cells["paid (UTC)"] - paid_at), timedelta(seconds=1))

    def test_vouchers_say_what_paid_for_them(self) -> None:
        make_batch_vouchers(owner=self.customer, quantity=1)
        paid_for = {int(row["number"]): row["transaction number"] for row in self.exported(VOUCHERS)}
        self.assertEqual(paid_for[self.voucher.pk], str(self.paid.pk))
        self.assertEqual(paid_for[max(paid_for)], "")


class RecordTests(ExportTestCase):
    def test_each_export_is_recorded_with_who_and_how_many(self) -> None:
        self.exported(VOUCHERS, "status=active&q=carla@example.com")
        self.exported(TRANSACTIONS, f"q={(number := self.paid.pk + 10**9)}")
        second, first = DataExport.objects.all()
        self.assertEqual(
            (first.table, first.actor, first.rows, first.note), ("vouchers", self.desk, 0, "Admin")
        )
        self.assertEqual(first.criteria, "status: Active; search: a text")
        self.assertEqual((second.criteria, second.rows), (f"search: {number}", 0))
        self.assertIsNotNone(second.finished_at)
        self.allow("view_dataexport")
        self.assertContains(self.client.get("/admin/core/dataexport/"), "status: Active; search: a text")

    def test_one_that_was_broken_off_is_recorded_as_such_and_leaves_its_place(self) -> None:
        for _ in range(screens.EXPORTS_AT_ONCE + 1):
            response = self.export(VOUCHERS)
            next(iter(response))
            response._iterator.close()  # as the server does when the client has gone
        self.assertEqual(set(DataExport.objects.values_list("rows", "finished_at")), {(None, None)})

    def test_one_that_fails_while_it_is_broken_off_leaves_its_place(self) -> None:
        @contextmanager
        def failing(**options: Any) -> Iterator[None]:
            try:
                yield
            finally:
                raise OperationalError("away")

        for _ in range(screens.EXPORTS_AT_ONCE):
            with (
                patch("apps.core.exports.recorded_export.snapshot", failing),
                patch("apps.core.exports.csv_file._PART", 1),
            ):
                response = self.export(VOUCHERS)
                next(iter(response))
                response._iterator.close()
        self.assertTrue(self.exported(VOUCHERS))

    def test_one_that_fails_before_it_began_is_an_error_and_leaves_its_place(self) -> None:
        for _ in range(screens.EXPORTS_AT_ONCE + 1):
            with patch("apps.core.exports.tables.F", side_effect=OperationalError("away")):
                self.assertEqual(self.export(VOUCHERS).status_code, 503)
        self.assertEqual(self.export(VOUCHERS).status_code, 200)

    def test_few_are_written_at_once(self) -> None:
        responses = [self.export(VOUCHERS) for _ in range(screens.EXPORTS_AT_ONCE)]
        refused = self.export(VOUCHERS)
        self.assertContains(refused, "Try again in a minute")
        for response in responses:
            self.assertEqual(len(rows_of(response)), Voucher.objects.count())
        self.assertEqual(len(self.exported(VOUCHERS)), Voucher.objects.count())
        self.assertEqual(DataExport.objects.count(), screens.EXPORTS_AT_ONCE + 1)

    def test_without_the_csrf_token_nothing_leaves(self) -> None:
        self.client.handler.enforce_csrf_checks = True
        self.assertEqual(self.export(VOUCHERS).status_code, 403)
        self.assertEqual(DataExport.objects.count(), 0)

    def test_only_who_may_export_a_list_gets_it(self) -> None:
        for address, permission in LISTS.items():
            view = f"view_{address.split('/')[3]}"
            for names in ((view,), (permission,), (view, *(set(LISTS.values()) - {permission}))):
                self.desk.user_permissions.set(Permission.objects.filter(codename__in=names))
                for call in (self.client.get, self.client.post):
                    self.assertEqual(call(f"{address}export/").status_code, 403, (address, names))
            self.desk.user_permissions.set(Permission.objects.filter(codename__in=(view, permission)))
            self.exported(address)
        self.assertEqual(DataExport.objects.count(), len(LISTS))
