"""The admin's front page: figures of a period in a currency, beside the period before."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import QueryDict
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.analytics.backoffice.period_picker import read_selection
from apps.users.tests.factories import make_customer, make_staff, make_user
from apps.vouchers.models import RefusalCount, Voucher
from apps.vouchers.tests.factories import make_type

from .factories import issue, make_batch, make_purchase, use, vouchers_of

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MOST_QUERIES = 30
BROKEN = (
    "days=0",
    "days=367",
    "days=-1",
    "days=x",
    "days=7&from=2026-01-01",
    "from=2026-02-30",
    "from=2026-03-02&to=2026-03-01",
    "from=2020-01-01&to=2026-03-01",
    "from=0001-01-01",
    "to=9999-12-31",
    "from=2026-03-01%20",
    "currency=EURO",
    "currency=e",
    "currency=%3Cscript%3E",
)


class FrontPageTests(TestCase):
    def setUp(self) -> None:
        super().setUp()
        clock = time_machine.travel(NOON, tick=False)
        clock.start()
        self.addCleanup(clock.stop)
        self.customer = make_customer()
        self.now = timezone.now()
        self.client.force_login(make_staff())

    def page(self, query: str = "") -> Any:
        response = self.client.get(f"/admin/?{query}")
        self.assertEqual(response.status_code, 200)
        return response

    def figures(self, query: str = "") -> dict[str, Any]:
        return {figure.title: figure for figure in self.page(query).context["figures"]}

    def values(self, query: str = "") -> dict[str, str]:
        return {title: figure.value for title, figure in self.figures(query).items()}

    def test_it_tells_how_the_platform_does(self) -> None:
        exam = make_type(price=Decimal("1200.00"))
        today = make_purchase(user=self.customer, voucher_type=exam, at=self.now)
        make_purchase(
            user=self.customer,
            voucher_type=exam,
            at=self.now - timedelta(days=20),
            quantity=2,
            amount_refunded=Decimal("100.00"),
        )
        make_purchase(user=self.customer, voucher_type=exam, at=self.now - timedelta(days=40))
        use(vouchers_of(today)[0], by=self.customer, at=self.now)
        issue(user=self.customer, voucher_type=exam, at=self.now, expiry_date=self.now)
        RefusalCount.objects.create(day=NOON.date(), service_type="", reason="voucher_not_found", number=7)
        response = self.page()
        values = {figure.title: figure.value for figure in response.context["figures"]}
        self.assertEqual(
            values,
            {
                "Sales": "3,600.00\u00a0USD",
                "Refunded": "100.00\u00a0USD",
                "Vouchers issued": "4",
                "Redemptions": "1",
                "Refused redemptions": "7",
                "Active vouchers": "3",
                "Outstanding": "3,600.00\u00a0USD",
                "Breakage": "1,200.00\u00a0USD",
            },
        )
        for text in (*values, *values.values(), "9 February 2026 – 10 March 2026"):
            self.assertContains(response, text)
        for voucher in Voucher.objects.all():
            self.assertNotContains(response, voucher.code)

    def test_each_figure_stands_beside_the_period_before(self) -> None:
        exam = make_type(price=Decimal("10.00"))
        for days, quantity in ((0, 3), (6, 1), (7, 2), (13, 1), (14, 5)):
            make_purchase(
                user=self.customer, voucher_type=exam, at=self.now - timedelta(days=days), quantity=quantity
            )
        make_purchase(user=self.customer, voucher_type=exam, at=self.now, amount_refunded=Decimal("5.00"))
        for days, number in ((0, 1), (7, 4)):
            day = (self.now - timedelta(days=days)).date()
            RefusalCount.objects.create(day=day, service_type="", reason="voucher_expired", number=number)
        figures = self.figures("days=7")
        expected = {
            "Sales": ("+66.7 %", "good"),  # 50 after 30
            "Refunded": ("none before", ""),
            "Vouchers issued": ("+66.7 %", ""),
            "Redemptions": ("", ""),
            "Refused redemptions": ("\N{MINUS SIGN}75.0 %", "good"),
            "Active vouchers": ("", ""),
            "Outstanding": ("", ""),
            "Breakage": ("", ""),
        }
        self.assertEqual({title: (figure.change, figure.mood) for title, figure in figures.items()}, expected)

    def test_a_currency_can_be_chosen(self) -> None:
        yen = make_type(price=Decimal("1050"), currency="JPY")
        make_purchase(user=self.customer, voucher_type=yen, at=self.now, amount_refunded=Decimal(50))
        make_purchase(user=self.customer, voucher_type=make_type(), at=self.now)
        make_batch(owner=self.customer, voucher_type=make_type(), quantity=2)
        dollars, yens = self.figures(), self.figures("currency=jpy")
        self.assertEqual(dollars["Sales"].value, "10.00\u00a0USD")
        self.assertIn("1,050\u00a0JPY", dollars["Sales"].note)
        self.assertIn("issued without a payment: 20.00\u00a0USD", dollars["Outstanding"].note)
        self.assertEqual(yens["Sales"].value, "1,050\u00a0JPY")
        self.assertEqual(yens["Refunded"].value, "50\u00a0JPY")
        self.assertIn("10.00\u00a0USD", yens["Sales"].note)
        self.assertEqual(yens["Outstanding"].value, "1,050\u00a0JPY")
        page = self.page("currency=JPY&days=7")
        choices = {each.title: each for each in page.context["currencies"]}
        self.assertEqual(list(choices), ["USD", "JPY"])
        self.assertEqual([title for title, each in choices.items() if each.is_chosen], ["JPY"])
        self.assertEqual(choices["USD"].address, "?from=2026-03-04&to=2026-03-10")
        self.assertContains(page, "Sales in JPY")

    def test_one_currency_is_no_choice(self) -> None:
        self.assertNotContains(self.page(), 'aria-label="Currency"')

    def test_the_usual_periods_are_links(self) -> None:
        choices = {each.title: each for each in self.page().context["selection"].period_choices()}
        self.assertEqual(
            list(choices), ["Today", "7 days", "30 days", "90 days", "366 days", "This month", "Last month"]
        )
        self.assertEqual([title for title, each in choices.items() if each.is_chosen], ["30 days"])
        for title, days in (
            ("Today", (date(2026, 3, 10), date(2026, 3, 10))),
            ("366 days", (date(2025, 3, 10), date(2026, 3, 10))),
            ("This month", (date(2026, 3, 1), date(2026, 3, 10))),
            ("Last month", (date(2026, 2, 1), date(2026, 2, 28))),
        ):
            selection = self.page(choices[title].address[1:]).context["selection"]
            self.assertEqual((selection.period.first, selection.period.last), days, title)
            [chosen] = [each.title for each in selection.period_choices() if each.is_chosen]
            self.assertEqual(chosen, title)

    @override_settings(TIME_ZONE="America/New_York")
    def test_days_begin_and_end_at_local_midnight(self) -> None:
        # Clocks go forward on 8 March: the day has 23 hours.
        for moment in (
            datetime(2026, 3, 8, 4, 59, 59, 999999, tzinfo=UTC),
            datetime(2026, 3, 8, 5, tzinfo=UTC),
            datetime(2026, 3, 9, 3, 59, 59, 999999, tzinfo=UTC),
            datetime(2026, 3, 9, 4, tzinfo=UTC),
        ):
            make_purchase(user=self.customer, voucher_type=make_type(price=Decimal("1.00")), at=moment)
        self.assertEqual(self.values("from=2026-03-08&to=2026-03-08")["Sales"], "2.00\u00a0USD")
        self.assertContains(self.page(), "America/New York time")

    def test_what_the_address_says_wrongly_is_said_and_left_out(self) -> None:
        usual = self.values()
        response = self.page("days=x&currency=%3Cscript%3E")
        self.assertContains(response, 'role="alert"')
        self.assertNotContains(response, "<script>alert")
        self.assertEqual({each.title: each.value for each in response.context["figures"]}, usual)
        self.assertNotContains(self.page("from=&to=&currency="), 'role="alert"')
        for query in BROKEN:
            with self.subTest(query):
                selection = read_selection(QueryDict(query), today=NOON.date())
                self.assertTrue(selection.error)
                self.assertEqual((selection.period.length, selection.currency), (30, "USD"))
        for query in ("", "from=&to=&currency=", "unknown=1", "days=366", "currency=usd"):
            self.assertEqual(read_selection(QueryDict(query), today=NOON.date()).error, "", query)

    def test_the_first_days_of_the_calendar_have_none_before(self) -> None:
        response = self.page("from=1970-01-01&to=1970-01-02")
        self.assertIsNone(response.context["selection"].period_before)
        self.assertEqual({figure.change for figure in response.context["figures"]}, {""})

    def charts(self, query: str = "") -> list[tuple[dict[str, Any], dict[str, Any]]]:
        context = self.page(query).context
        charts = [*context["charts"], *filter(None, [context["refusals_chart"]])]
        return [(json.loads(each.data), json.loads(each.options)) for each in charts]

    def test_its_charts_say_what_their_axes_count(self) -> None:
        make_purchase(user=self.customer, at=self.now)
        make_purchase(user=self.customer, at=self.now - timedelta(days=6), quantity=3)
        make_purchase(user=self.customer, at=self.now - timedelta(days=7), quantity=5)
        RefusalCount.objects.create(day=NOON.date(), service_type="a", reason="code_malformed", number=3)
        RefusalCount.objects.create(day=NOON.date(), service_type="b", reason="code_malformed", number=2)
        RefusalCount.objects.create(day=NOON.date(), service_type="", reason="no_name_yet", number=9)
        sales, uses, refusals = self.charts("days=7")
        titles = [(options["scales"]["x"]["title"]["text"], options["scales"]["y"]["title"]["text"])
                  for _, options in (sales, uses, refusals)]  # fmt: skip
        self.assertEqual(
            titles,
            [
                ("Day, UTC time", "Sales in USD"),
                ("Day, UTC time", "Number"),
                ("Number of refused redemptions", ""),
            ],
        )
        self.assertEqual(sales[0]["labels"][-1], "Mar 10")
        self.assertEqual(sales[0]["datasets"][0]["data"], ["30.00", *["0.00"] * 5, "10.00"])
        self.assertEqual([each["label"] for each in uses[0]["datasets"]], ["Vouchers issued", "Redemptions"])
        self.assertEqual(uses[0]["datasets"][0]["data"], ["3", *["0"] * 5, "1"])
        self.assertContains(
            self.page("days=7"), '"Refused redemptions by reason. Number of refused redemptions."'
        )
        self.assertEqual(refusals[0]["labels"], ["No name yet", "Mistyped code"])
        self.assertEqual(refusals[0]["datasets"][0]["data"], ["9", "5"])

    def test_a_long_period_is_shown_in_weeks(self) -> None:
        make_purchase(user=self.customer, at=self.now - timedelta(days=365))
        make_purchase(user=self.customer, at=self.now - timedelta(days=359))
        make_purchase(user=self.customer, at=self.now - timedelta(days=358))
        make_purchase(user=self.customer, at=self.now)
        sales, *_ = self.charts("days=366")
        data = sales[0]["datasets"][0]["data"]
        self.assertEqual((len(data), data[0], data[1], data[-1]), (53, "20.00", "10.00", "10.00"))
        self.assertEqual(sales[1]["scales"]["x"]["title"]["text"], "Week that begins on, UTC time")

    def test_it_has_the_name_of_the_site_and_its_applications(self) -> None:
        response = self.page()
        for text in ("Dashboard | Voucher App", "/admin/vouchers/voucher/", "/admin/payments/transaction/"):
            self.assertContains(response, text)

    def test_it_is_for_staff(self) -> None:
        self.client.force_login(self.customer)
        self.assertEqual(self.client.get("/admin/").status_code, 302)
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.client.get("/admin/").status_code, 200)

    def test_its_figures_are_for_staff_who_may_view_them(self) -> None:
        make_purchase(user=self.customer, at=self.now)
        colleague = make_user(is_staff=True)
        self.client.force_login(colleague)
        response = self.page()
        self.assertNotIn("figures", response.context)
        for hidden in ("Sales", "Outstanding", '<canvas class="chart"', "/admin/revenue/"):
            self.assertNotContains(response, hidden)
        colleague.user_permissions.set(Permission.objects.filter(codename="view_figures"))
        response = self.page()
        for shown in ("Sales", "Outstanding", '<canvas class="chart"', "/admin/revenue/"):
            self.assertContains(response, shown)

    def test_the_number_of_queries_grows_neither_with_the_rows_nor_with_the_days(self) -> None:
        def count(query: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                self.page(query)
            return len(captured)

        for number in range(50):
            make_purchase(user=self.customer, at=self.now - timedelta(days=number))
            RefusalCount.objects.create(
                day=NOON.date() - timedelta(days=number), service_type="", reason=f"r{number}", number=1
            )
        for query in ("days=30", "days=1", "days=366", "currency=EUR"):
            self.assertLessEqual(count(query), MOST_QUERIES, query)
