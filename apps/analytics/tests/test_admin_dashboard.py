"""The admin's front page."""

import json
from datetime import timedelta
from decimal import Decimal

from django.contrib.auth.models import Permission
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.users.tests.factories import make_customer, make_staff, make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type

from .factories import issue, make_batch, make_purchase, use, vouchers_of


class FrontPageTests(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()
        self.now = timezone.now()
        self.client.force_login(make_staff())

    def test_it_tells_how_the_platform_does(self) -> None:
        exam = make_type(price=Decimal("1200.00"))
        today = make_purchase(user=self.customer, voucher_type=exam, at=self.now)
        make_purchase(user=self.customer, voucher_type=exam, at=self.now - timedelta(days=20), quantity=2)
        make_purchase(user=self.customer, voucher_type=exam, at=self.now - timedelta(days=40))
        use(vouchers_of(today)[0], by=self.customer, at=self.now)
        issue(user=self.customer, voucher_type=exam, at=self.now, expiry_date=self.now)
        response = self.client.get("/admin/")
        figures = {title: figure for title, figure, _ in response.context["figures"]}
        self.assertEqual(
            figures,
            {
                "Sales today": "1,200.00\u00a0USD",
                "Revenue": "3,600.00\u00a0USD",
                "Vouchers issued": "4",
                "Redemptions": "1",
                "Active vouchers": "3",
                "Outstanding": "3,600.00\u00a0USD",
            },
        )
        for told in (*figures, *figures.values()):
            self.assertContains(response, told)
        for voucher in Voucher.objects.all():
            self.assertNotContains(response, voucher.code)

    def test_other_currencies_stand_beside_the_default_one_and_what_nobody_paid_for_apart(self) -> None:
        yen = make_type(price=Decimal("1050"), currency="JPY")
        make_purchase(user=self.customer, voucher_type=yen, at=self.now, amount_refunded=Decimal(50))
        make_purchase(user=self.customer, voucher_type=yen, at=self.now - timedelta(days=20))
        make_batch(owner=self.customer, voucher_type=make_type(), quantity=2)
        response = self.client.get("/admin/")
        shown = {title: (figure, footer) for title, figure, footer in response.context["figures"]}
        self.assertEqual(shown["Sales today"][0], "0.00\u00a0USD · 1,050\u00a0JPY")
        self.assertEqual(shown["Revenue"][0], "0.00\u00a0USD · 2,100\u00a0JPY")
        self.assertIn("refunded: 0.00\u00a0USD · 50\u00a0JPY", shown["Revenue"][1])
        self.assertEqual(shown["Outstanding"][0], "0.00\u00a0USD · 2,100\u00a0JPY")
        self.assertIn("issued without a payment: 20.00\u00a0USD", shown["Outstanding"][1])
        for figure, footer in shown.values():
            self.assertContains(response, figure)
            self.assertContains(response, footer)
        charts = dict(response.context["charts"])
        self.assertEqual(list(charts), ["Sales in the last 14 days, USD", "Sales in the last 14 days, JPY"])
        yens = json.loads(charts["Sales in the last 14 days, JPY"])["datasets"][0]["data"]
        self.assertEqual(yens, [*["0.00"] * 13, "1050.00"])
        for title in charts:
            self.assertContains(response, title)

    def test_its_chart_has_fourteen_days_and_ends_today(self) -> None:
        make_purchase(user=self.customer, at=self.now)
        make_purchase(user=self.customer, at=self.now - timedelta(days=13), quantity=3)
        make_purchase(user=self.customer, at=self.now - timedelta(days=14), quantity=5)
        response = self.client.get("/admin/")
        [(_, data)] = response.context["charts"]
        chart = json.loads(data)
        self.assertEqual(chart["datasets"][0]["data"], ["30.00", *["0.00"] * 12, "10.00"])
        today = timezone.localdate()
        self.assertEqual((len(chart["labels"]), chart["labels"][-1]), (14, f"{today:%b} {today.day}"))
        self.assertContains(response, '<canvas class="chart"')

    def test_it_has_the_name_of_the_site_and_its_applications(self) -> None:
        response = self.client.get("/admin/")
        for told in ("Dashboard | Voucher App", "/admin/vouchers/voucher/", "/admin/payments/transaction/"):
            self.assertContains(response, told)

    def test_it_is_for_staff(self) -> None:
        self.client.force_login(self.customer)
        self.assertEqual(self.client.get("/admin/").status_code, 302)
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.client.get("/admin/").status_code, 200)

    def test_its_figures_are_for_staff_who_may_view_them(self) -> None:
        make_purchase(user=self.customer, at=self.now)
        colleague = make_user(is_staff=True)
        self.client.force_login(colleague)
        response = self.client.get("/admin/")
        self.assertNotIn("figures", response.context)
        for hidden in ("Sales today", "Outstanding", '<canvas class="chart"', "/admin/payments/transaction/"):
            self.assertNotContains(response, hidden)
        colleague.user_permissions.set(Permission.objects.filter(codename="view_figures"))
        response = self.client.get("/admin/")
        for shown in ("Sales today", "Outstanding", '<canvas class="chart"'):
            self.assertContains(response, shown)

    def test_the_number_of_queries_does_not_grow_with_the_rows(self) -> None:
        def ask() -> int:
            with CaptureQueriesContext(connection) as captured:
                self.client.get("/admin/")
            return len(captured)

        make_purchase(user=self.customer, at=self.now)
        ask()
        before = ask()
        for number in range(50):
            make_purchase(user=self.customer, at=self.now - timedelta(days=number % 25))
        self.assertEqual(ask(), before)
