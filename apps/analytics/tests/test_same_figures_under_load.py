"""While people buy, redeem and return, and the roll-up is counted, all places show what plain SQL adds up to."""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final

from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.analytics.exports import DAILY_FIGURES
from apps.analytics.periods import days_until
from apps.core.money import format_amount
from apps.core.snapshots import snapshot
from apps.payments.models import Refund, Transaction
from apps.vouchers import services
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_type
from tests.support.books import rebuild_figures

from .business import BusinessTestCase, not_locked

DAYS: Final = 3  # so that midnight may pass
COLUMNS: Final = {"purchases": "purchases", "issued": "vouchers issued", "redemptions": "redemptions"}
SUMS: Final = {"revenue": "revenue", "refunded": "refunded", "paid_back": "refunds of the day"}

# Plain SQL over the rows, which knows nothing of days, as all happens today.
SQL: Final = {
    "purchases": "SELECT COUNT(*) FROM payments_transaction WHERE status IN ('completed', 'refunded')",
    "revenue": "SELECT SUM(amount) FROM payments_transaction WHERE status IN ('completed', 'refunded')",
    "refunded": "SELECT SUM(amount_refunded) FROM payments_transaction WHERE status IN ('completed', 'refunded')",
    "paid_back": "SELECT SUM(amount) FROM payments_refund WHERE status = 'succeeded'",
    "issued": "SELECT COUNT(*) FROM vouchers_voucher",
    "active": "SELECT COUNT(*) FROM vouchers_voucher WHERE is_active AND uses_remaining > 0",
    "redemptions": "SELECT COUNT(*) FROM vouchers_voucherusage used WHERE NOT EXISTS"
    " (SELECT 1 FROM vouchers_usagereversal back WHERE back.usage_id = used.id)",
    # 1.0, as SQLite keeps a whole amount as an integer, and would divide it as one.
    "liability": "SELECT SUM(1.0 * face_value * uses_remaining / total_uses) FROM vouchers_voucher"
    " WHERE is_active AND uses_remaining > 0",
}
Figures = dict[str, Decimal]


def by_sql() -> Figures:
    figures = {}
    with connection.cursor() as cursor:
        for name, statement in SQL.items():
            cursor.execute(statement)
            figures[name] = Decimal(cursor.fetchone()[0] or 0).quantize(Decimal("0.01"))
    return figures


class SameFiguresUnderLoadTests(BusinessTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.of_staff = self.signed_in(self.staff)
        self.page = Client()
        self.page.force_login(self.staff)

    def by_api(self) -> Figures:
        dashboard = self.of_staff.get("/api/analytics/dashboard/", {"days": DAYS}).json()["totals"]
        revenue = self.of_staff.get("/api/analytics/revenue/", {"days": DAYS}).json()
        shown = {
            "purchases": dashboard["purchases"],
            "revenue": dashboard["revenue"],
            "refunded": dashboard["refunded"],
            "paid_back": revenue["totals"]["refunds_paid"],
            "issued": dashboard["vouchers_issued"],
            "active": dashboard["vouchers_active"],
            "redemptions": dashboard["redemptions"],
            "liability": revenue["outstanding_liability"],
        }
        self.assertEqual(dashboard["revenue"], revenue["totals"]["gross"])
        return {name: Decimal(value) for name, value in shown.items()}

    def by_export(self) -> Figures:
        titles = [column.title for column in DAILY_FIGURES.columns]
        period = days_until(timezone.localdate(), DAYS)
        rows = [dict(zip(titles, row, strict=True)) for row in DAILY_FIGURES.rows(period, at=timezone.now())]
        return {
            name: sum((Decimal(row[title]) for row in rows), Decimal(0))
            for name, title in (COLUMNS | SUMS).items()
        }

    def on_page(self) -> dict[str, str]:
        """The figures of the admin's front page, as they are worded."""
        response = self.page.get(reverse("admin:index"), {"days": DAYS})
        return {figure.title: figure.value for figure in response.context["figures"]}

    def differences(self) -> list[Any]:
        """What is not what SQL says at the same moment."""
        with snapshot():
            right, api, export, page = by_sql(), self.by_api(), self.by_export(), self.on_page()
        words = {
            "Sales": format_amount(right["revenue"], "USD"),
            "Refunded": format_amount(right["refunded"], "USD"),
            "Vouchers issued": f"{right['issued']:,.0f}",
            "Redemptions": f"{right['redemptions']:,.0f}",
            "Active vouchers": f"{right['active']:,.0f}",
            "Outstanding": format_amount(right["liability"], "USD"),
        }
        return [
            *(
                (name, right[name], shown[name])
                for shown in (api, export)
                for name in shown
                if shown[name] != right[name]
            ),
            *((title, text, page[title]) for title, text in words.items() if page[title] != text),
        ]

    def look_during_business(self, broken: Any = None) -> list[list[Any]]:
        """The differences at some moments; with `broken` in place of the transactions of counting."""
        self.type = make_type(max_uses=1000)
        vouchers = list(self.buy(3).vouchers)
        self.refund(self.buy(1))
        # So long ago that it is counted, while what happens from now on is added at each visit.
        hour = timedelta(hours=1)
        Transaction.objects.update(completed_at=F("completed_at") - hour)
        Voucher.objects.update(purchase_date=F("purchase_date") - hour)
        Refund.objects.update(finished_at=F("finished_at") - hour)
        rebuild_figures()
        turns = count()

        def redeem() -> None:
            turn = next(turns)
            self.redeem(vouchers[turn % 2])
            if turn % 5 == 4:
                last = VoucherUsage.objects.latest("pk").pk
                services.reverse_usage(usage_id=last, actor=self.staff, reason="A slip")

        def sell() -> None:
            self.refund(self.buy(2))
            self.buy(1)

        return self.looks_during_business(self.differences, redeem, sell, broken=broken)

    def test_api_export_and_admin_show_what_the_rows_add_up_to(self) -> None:
        self.assertFalse(any(differences := self.look_during_business()), differences)

    def test_control_counting_that_is_no_transaction_is_caught(self) -> None:
        self.assertTrue(any(self.look_during_business(broken=not_locked)))
