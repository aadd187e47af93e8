"""The lists of the admin, each in every way that its page offers: few queries, and none that reads a long table."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from unittest import skipUnless
from unittest.mock import patch

from django.contrib import admin
from django.db import connection
from django.http import QueryDict
from django.test import Client, RequestFactory, tag
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.core.backoffice import lists
from apps.core.backoffice.attention import items_of
from apps.core.backoffice.filters import DayRangeFilter, OfRowFilter
from apps.core.models import DataExport
from apps.payments.models import Dispute, Refund, RefundStatus, StripeEvent, Transaction, TransactionStatus
from apps.payments.tests.factories import make_completed_transaction
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers.models import Voucher, VoucherUsage
from tests.support.cases import ApiTestCase
from tests.support.many_rows import fill, sell
from tests.support.plans import PlanTestCase, rows_read
from tests.test_query_plans import GROWING
from voucher_project.admin_navigation import ENTRIES

MOST_QUERIES: Final = 12
CARLA: Final = "carla@example.com"
OF_ONE, ALL = 1000, 6000
LONG: Final = (*GROWING, "payments_refund", "payments_stripeevent", "post_office_email", "users_user")
MOST_READ: Final = ALL // 3  # rows of a table, where a list pages through the first hundred
SOME_DAYS: Final = {"from": timedelta(days=30), "to": timedelta(days=2)}  # ago


def list_of(model: Any) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def addresses_of(model: Any, changes: Any) -> Iterator[str]:
    """The list as it is, sorted by any column, on its second page, by each tab, and by each choice of each filter."""
    yield ""
    yield "p=2"
    yield from (f"o={number}" for number in range(1, len(changes.list_display)))
    for entry in ENTRIES:
        if entry.model == model._meta.label_lower:
            yield from (query for _, query in entry.tabs)
    yield from (f"attention={item.name}" for item in items_of(model))
    for spec in changes.filter_specs:
        if isinstance(spec, DayRangeFilter):
            today = timezone.localdate()
            names = dict(zip(("from", "to"), spec.expected_parameters(), strict=True))
            days = {names[bound]: today - ago for bound, ago in SOME_DAYS.items()}
            yield "&".join(f"{name}={day}" for name, day in days.items())
        else:
            yield from (choice["query_string"].removeprefix("?") for choice in spec.choices(changes))
    for kind in admin.site._registry[model].list_filter:
        if isinstance(kind, type) and issubclass(kind, OfRowFilter):
            row = (
                User.objects.get(email=CARLA) if kind.parameter_name == "person" else Voucher.objects.first()
            )
            yield f"{kind.parameter_name}={row.pk if row else 1}"


class AdminListsTestCase:
    staff: Any

    def request(self, address: str) -> Any:
        request: Any = RequestFactory().get(address)
        request.user, request.session = self.staff, {}
        return request

    def every_list(self) -> Iterator[tuple[Any, str]]:
        """Each screen, with each query of its list."""
        for model, screen in admin.site._registry.items():
            changes = screen.get_changelist_instance(self.request(list_of(model)))
            for query in dict.fromkeys(addresses_of(model, changes)):
                yield model, query


@tag("server")
class LongListTests(AdminListsTestCase, PlanTestCase):
    def setUp(self) -> None:
        super().setUp()
        _, self.staff = fill(OF_ONE, ALL)
        self.person = make_customer()  # who has a few of everything, as a person has
        # Named one by one: of tables that were just filled the database knows too little to plan for a subquery.
        own = list(Voucher.objects.order_by("-pk").values_list("pk", flat=True)[:30])
        VoucherUsage.objects.filter(voucher__in=own).update(user=self.person)
        Voucher.objects.filter(pk__in=own).update(user=self.person)
        sell(self.staff)
        now = timezone.now()
        paid = list(Transaction.objects.order_by("pk"))
        User.objects.bulk_create(User(email=f"u{number}@example.com") for number in range(ALL))
        Transaction.objects.filter(pk__in=[each.pk for each in paid[::300]]).update(
            status=TransactionStatus.FAILED, completed_at=None
        )
        StripeEvent.objects.bulk_create(
            StripeEvent(stripe_id=f"evt_{each.pk}", type="x", object_id="x", processed_at=now)
            for each in paid
        )
        Refund.objects.bulk_create(
            Refund(
                transaction=each,
                amount=1,
                origin="buyer",
                status=RefundStatus.REJECTED if each.pk % 50 == 0 else RefundStatus.SUCCEEDED,
                finished_at=now,
                created_at=each.created_at,
            )
            for each in paid
        )
        Email.objects.bulk_create(
            Email(from_email="x@example.com", to=["y@example.com"], status=STATUS.sent) for _ in range(ALL)
        )
        self.tidy(*LONG)
        if (
            connection.vendor == "postgresql"
        ):  # these tables are so short that to read one whole costs little more
            with connection.cursor() as cursor:
                cursor.execute("SET random_page_cost = 1.1")
            self.addCleanup(lambda: connection.cursor().execute("RESET random_page_cost"))

    def statements(self, model: Any, query: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            changes = admin.site._registry[model].get_changelist_instance(
                self.request(f"{list_of(model)}?{query}")
            )
            list(changes.result_list)
            getattr(changes, "totals", None)
        return [each["sql"] for each in captured.captured_queries if each["sql"].startswith("SELECT")]

    @skipUnless(connection.vendor == "postgresql", "SQLite does not say how many rows it read")
    def test_none_reads_more_of_a_long_table_than_its_pages_show(self) -> None:
        with patch.object(lists, "MAX_LISTED", 100), patch("apps.vouchers.backoffice.types.MAX_LISTED", 100):
            for model, query in self.every_list():
                for statement in self.statements(model, query):
                    for table, number in rows_read(statement):
                        with self.subTest(model._meta.label, query=query, table=table):
                            self.assertLessEqual(number, MOST_READ if table in LONG else ALL, statement)

    @skipUnless(connection.vendor == "postgresql", "SQLite does not say how many rows it read")
    def test_a_list_that_did_would_be_seen(self) -> None:
        counted = str(Voucher.objects.filter(face_value__lt=0).order_by("face_value").query)
        self.assertEqual(dict(rows_read(counted)), {"vouchers_voucher": ALL})


class ListTests(AdminListsTestCase, ApiTestCase):
    client_class: Any = Client

    def setUp(self) -> None:
        super().setUp()
        self.staff = make_staff()
        self.client.force_login(self.staff)
        paid = make_completed_transaction(user=make_customer(), quantity=3)
        for kind in ({"status": "requested"}, {"status": "failed", "finished_at": timezone.now()}):
            Refund.objects.create(transaction=paid, amount=1, origin="buyer", **kind)
        Dispute.objects.create(
            transaction=paid, amount=1, stripe_dispute_id="dp_1", stripe_status="x", opened_at=timezone.now()
        )

    def test_each_is_shown_with_few_queries(self) -> None:
        for model, query in self.every_list():
            with self.subTest(model._meta.label, query=query), CaptureQueriesContext(connection) as captured:
                response = self.client.get(f"{list_of(model)}?{query}")
                self.assertEqual(response.status_code, 200)
            self.assertLessEqual(len(captured), MOST_QUERIES, [each["sql"][:200] for each in captured])

    def test_a_bound_that_is_passed_is_told_and_the_last_page_is_the_last(self) -> None:
        address = "/admin/vouchers/voucher/"
        with (
            patch.object(lists, "MAX_LISTED", 2),
            patch("apps.vouchers.backoffice.vouchers.VoucherAdmin.list_per_page", 1),
        ):
            page = self.client.get(address, {"p": "9"})
            self.assertContains(page, "2+ vouchers")
            self.assertEqual((page.context["cl"].result_count, len(page.context["cl"].result_list)), (2, 1))
        self.assertContains(self.client.get(address), "3 vouchers")

    def test_days_are_chosen_in_local_days_both_included(self) -> None:
        address, today = "/admin/payments/transaction/", timezone.localdate()
        yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
        for first, last, number in (
            (today, today, 1),
            ("", today, 1),
            (today, "", 1),
            ("", yesterday, 0),
            (tomorrow, "", 0),
        ):
            with self.subTest(first=first, last=last):
                page = self.client.get(
                    address, {"completed_at_from": str(first), "completed_at_to": str(last)}
                )
                self.assertEqual(page.context["cl"].result_count, number)
        for wrong in ("nonsense", "2026-02-30", "0001-01-01", "9999-12-31"):
            with self.subTest(wrong):
                page = self.client.get(address, {"completed_at_from": wrong})
                self.assertRedirects(page, f"{address}?e=1", fetch_redirect_response=False)

    def test_days_and_other_choices_stay_together(self) -> None:
        page = self.client.get("/admin/vouchers/voucher/?status=active&expiry_date_from=2020-01-01")
        form = page.content.decode().partition('id="filter-form"')[2].partition("</form>")[0]
        self.assertIn('name="status" value="active"', form)
        self.assertRegex(
            form, r'name="expiry_date_from" value="2020-01-01"|value="2020-01-01"[^>]*name="expiry_date_from"'
        )

    def test_an_export_is_recorded_with_the_days_and_without_the_name_of_a_person(self) -> None:
        person, today = User.objects.get(email=CARLA), timezone.localdate()
        query = f"person={person.pk}&purchase_date_from={today}"
        address = f"/admin/vouchers/voucher/export/?{query}"
        self.assertContains(self.client.get(address), "3 vouchers in the list")
        self.client.post(address, {"file_type": "csv"}).getvalue()
        export = DataExport.objects.get()
        self.assertEqual(
            (export.rows, export.criteria), (3, f"purchase date: from {today}; person: number {person.pk}")
        )

    def test_the_sums_of_money_are_those_of_the_rows_that_are_filtered(self) -> None:
        other = make_completed_transaction(user=make_customer(email="z@example.com"), quantity=1)
        address = "/admin/payments/transaction/"
        self.assertContains(self.client.get(address), "40.00\N{NO-BREAK SPACE}USD")
        page = self.client.get(address, {"person": other.user_id})
        self.assertContains(page, "10.00\N{NO-BREAK SPACE}USD")
        self.assertNotContains(page, "40.00")
        self.assertEqual(QueryDict(page.request["QUERY_STRING"]).get("person"), str(other.user_id))
