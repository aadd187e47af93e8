"""The page on revenue: the figures of the API, to the cent."""

from csv import DictReader
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core.models import DataExport
from apps.core.money import format_amount
from apps.users.tests.factories import make_customer, make_staff, make_user
from apps.vouchers.models import RefusalCount, Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase

from .factories import give_back, make_batch, make_purchase, use, vouchers_of

URL = "/admin/revenue/"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MOST_QUERIES = 25


class RevenueTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        clock = time_machine.travel(NOON, tick=False)
        clock.start()
        self.addCleanup(clock.stop)
        self.customer, self.staff = make_customer(), make_staff()
        self.client.force_login(self.staff)
        self.exam = make_type(name="Exam", price=Decimal("12.50"), max_uses=3)
        self.yen = make_type(name="Yen", price=Decimal("1050"), currency="JPY")
        for days in (0, 3, 40):
            at = NOON - timedelta(days=days)
            paid = make_purchase(user=self.customer, voucher_type=self.exam, at=at, quantity=2)
            use(vouchers_of(paid)[0], by=self.customer, at=at)
        usage = use(vouchers_of(paid)[1], by=self.customer, at=NOON)
        give_back(usage, by=self.staff, at=NOON)
        make_purchase(
            user=self.customer,
            voucher_type=self.exam,
            at=NOON - timedelta(days=5),
            amount_refunded=Decimal("7.25"),
            amount_goodwill=Decimal("7.25"),
        )
        make_purchase(
            user=self.customer, voucher_type=self.yen, at=NOON, amount_refunded=Decimal(50), quantity=3
        )
        make_batch(owner=self.customer, voucher_type=self.exam, quantity=4)
        RefusalCount.objects.create(day=NOON.date(), service_type="exam", reason="by_staff", number=1234)
        RefusalCount.objects.create(day=NOON.date(), service_type="", reason="rate_limited", number=6)

    def page(self, query: str = "") -> Any:
        response = self.client.get(f"{URL}?{query}")
        self.assertEqual(response.status_code, 200)
        return response


class RevenuePageTests(RevenueTestCase):
    def table(self, name: str, query: str = "") -> list[dict[str, str]]:
        """The rows of a table, by its headers, which may have a currency."""
        [table] = [each for each in self.page(query).context["tables"] if each.title == name]
        headers = [header.removesuffix(", USD") for header in table.headers]
        return [dict(zip(headers, row, strict=True)) for row in table.rows]

    def api_document(self, query: str = "") -> dict[str, Any]:
        document: dict[str, Any] = self.signed_in(self.staff).get(f"/api/analytics/revenue/?{query}").json()
        return document

    def assertSame(self, row: dict[str, str], document: dict[str, Any], currency: str = "USD") -> None:
        for header, name in (
            ("Gross", "gross"),
            ("Refunded", "refunded"),
            ("Goodwill", "goodwill"),
            ("Net", "net"),
        ):
            amount = row[header] if currency in row[header] else f"{row[header]}\u00a0{currency}"
            self.assertEqual(amount, format_amount(Decimal(document[name]), currency), header)

    def test_its_totals_are_those_of_the_api(self) -> None:
        for query in ("", "days=7", "days=366", "from=2026-01-01&to=2026-01-31"):
            with self.subTest(query):
                document = self.api_document(query)
                for name in ("By day", "By voucher type"):
                    rows = self.table(name, query)
                    if not rows:
                        self.assertEqual(document["totals"]["purchases"], 0)
                        continue
                    self.assertEqual(rows[-1]["Purchases"], str(document["totals"]["purchases"]))
                    self.assertSame(rows[-1], document["totals"])

    def test_its_rows_are_those_of_the_api(self) -> None:
        document = self.api_document()
        types = {each["voucher_type"]["name"]: each for each in document["by_voucher_type"]}
        *rows, _ = self.table("By voucher type")
        self.assertEqual([row["Type"] for row in rows], ["Exam", "Yen"])
        for row in rows:
            self.assertSame(row, types[row["Type"]])
        days = [day for day in reversed(document["daily"]) if day["purchases"]]
        *rows, _ = self.table("By day")
        self.assertEqual([row["Day"] for row in rows], ["10 Mar 2026", "7 Mar 2026", "5 Mar 2026"])
        for row, day in zip(rows, days, strict=True):
            self.assertSame(row, day)

    def test_obligations_are_those_of_the_api_in_each_currency(self) -> None:
        document = self.api_document()
        [yens] = document["other_currencies"]
        dollar_row, yen_row = self.table("By currency")
        self.assertSame(dollar_row, document["totals"])
        self.assertSame(yen_row, document["totals"]["other_currencies"][0], "JPY")
        for row, owed, currency in ((dollar_row, document, "USD"), (yen_row, yens, "JPY")):
            for header, name in (
                ("Liability now", "outstanding_liability"),
                ("Breakage", "breakage"),
                ("Outstanding, without a payment", "unpaid_outstanding"),
                ("Expired, without a payment", "unpaid_expired"),
            ):
                self.assertEqual(row[header], format_amount(Decimal(owed[name]), currency), header)

    def test_its_figures_are_in_the_chosen_currency(self) -> None:
        figures = {each.title: each.value for each in self.page("currency=JPY").context["figures"]}
        self.assertEqual(
            {name: figures[name] for name in ("Gross", "Refunded", "Net", "Liability")},
            {
                "Gross": "3,150\u00a0JPY",
                "Refunded": "50\u00a0JPY",
                "Net": "3,100\u00a0JPY",
                "Liability": "3,150\u00a0JPY",
            },
        )

    def test_redemption_rate_and_time_to_first_use(self) -> None:
        paid = make_purchase(user=self.customer, voucher_type=make_type(), at=NOON - timedelta(days=400))
        use(vouchers_of(paid)[0], by=self.customer, at=NOON - timedelta(days=398))
        figures = {
            each.title: each.value for each in self.page("from=2025-02-01&to=2025-02-28").context["figures"]
        }
        self.assertEqual(figures["Redemption rate"], "100.0 %")
        self.assertEqual(figures["Time to first use"], "2.0 days")
        figures = {
            each.title: each.value for each in self.page("from=2024-02-01&to=2024-02-28").context["figures"]
        }
        self.assertEqual((figures["Redemption rate"], figures["Time to first use"]), ("—", "—"))

    def test_refusals_are_told_by_reason_and_service(self) -> None:
        rows = [tuple(row.values()) for row in self.table("Refused redemptions")]
        self.assertEqual(
            rows,
            [
                ("Suspended or voided by staff", "exam", "1,234"),
                ("Too many attempts", "—", "6"),
                ("Total", "", "1,240"),
            ],
        )
        self.assertEqual(self.table("Refused redemptions", "from=2026-03-09&to=2026-03-09"), [])

    def test_an_empty_period_is_a_page_too(self) -> None:
        response = self.page("from=1999-01-01&to=1999-12-31")
        self.assertContains(response, "No data")
        self.assertEqual(self.table("By day", "from=1999-01-01&to=1999-12-31"), [])

    def test_no_code_is_shown(self) -> None:
        response = self.page()
        for voucher in Voucher.objects.all():
            self.assertNotContains(response, voucher.code)

    def test_it_is_for_staff_who_may_view_figures(self) -> None:
        colleague = make_user(is_staff=True)
        for user, status in ((None, 302), (self.customer, 302), (colleague, 403)):
            self.client.logout()
            if user:
                self.client.force_login(user)
            self.assertEqual(self.client.get(URL).status_code, status)
        colleague.user_permissions.set(Permission.objects.filter(codename="view_figures"))
        self.assertEqual(self.client.get(URL).status_code, 200)

    def test_it_is_read_and_not_written(self) -> None:
        self.assertEqual(self.client.post(URL).status_code, 405)
        self.assertEqual(self.client.head(URL).status_code, 200)

    def test_a_wrong_address_is_said(self) -> None:
        for query in ("days=x", "currency=EURO"):
            self.assertContains(self.page(query), 'role="alert"')

    def test_the_number_of_queries_grows_neither_with_the_rows_nor_with_the_days(self) -> None:
        def count(query: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                self.page(query)
            return len(captured)

        for number in range(30):
            make_purchase(user=self.customer, voucher_type=self.exam, at=NOON - timedelta(days=number))
        for query in ("days=30", "days=1", "days=366"):
            self.assertLessEqual(count(query), MOST_QUERIES, query)


class ExportTests(RevenueTestCase):
    """The button for the days that are shown."""

    client_class: Any = Client  # it sends forms, as a browser does

    def test_it_has_the_days_and_figures_of_the_page(self) -> None:
        query = "from=2026-03-05&to=2026-03-10"
        address = f"{URL}export/?{query}"
        self.assertContains(self.page(query), f'href="{address.replace("&", "&amp;")}"')
        self.assertContains(self.client.get(address), "5 March 2026 – 10 March 2026")
        answer: Any = self.client.post(address, {"file_type": "csv"})
        self.assertEqual(answer.status_code, 200)
        text = b"".join(answer).decode("utf-8-sig")
        rows = list(DictReader(text.splitlines()))
        self.assertEqual({row["day (UTC)"] for row in rows}, {f"2026-03-{day:02d}" for day in range(5, 11)})
        revenue = {row["currency"]: Decimal(0) for row in rows}
        for row in rows:
            revenue[row["currency"]] += Decimal(row["revenue"])
        self.assertEqual(revenue, {"USD": Decimal("62.50"), "JPY": Decimal(3150)})
        record = DataExport.objects.get()
        self.assertEqual((record.actor, record.rows), (self.staff, len(rows)))
        self.assertEqual(record.criteria, "from 2026-03-05 to 2026-03-10")

    def test_a_type_of_file_that_is_none_is_refused(self) -> None:
        page = self.client.post(f"{URL}export/", {"file_type": "pdf"})
        self.assertContains(page, "Select a valid choice")
        self.assertFalse(DataExport.objects.exists())

    def test_it_needs_the_permission_to_view_figures(self) -> None:
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.client.post(f"{URL}export/", {"file_type": "csv"}).status_code, 403)
        self.assertFalse(DataExport.objects.exists())
