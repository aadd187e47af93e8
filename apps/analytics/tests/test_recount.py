"""Figures against a recount of the rows, one by one, in Python."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django.test import override_settings
from django.utils import timezone

from apps.payments.models import SoldVoucher, Transaction
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers.models import UsageReversal, Voucher, VoucherUsage
from tests.support.cases import ApiTestCase

from .factories import fill_books

ZONES = ("America/New_York", "Asia/Kolkata", "Pacific/Auckland", "UTC")
FIRST, LAST = date(2025, 10, 20), date(2025, 11, 18)  # summer time ends in New York on 2 November


def _moments(chance: random.Random, zone: ZoneInfo) -> list[datetime]:
    """Any moments about the period, and the edges of local days in it."""
    edges = [
        datetime(2025, month, day, tzinfo=zone).astimezone(UTC) + timedelta(microseconds=off)
        for month, day in ((10, 20), (11, 2), (11, 3), (11, 19))
        for off in (-1, 0)
    ]
    start = datetime(2025, 10, 15, tzinfo=UTC)
    return edges + [start + timedelta(seconds=chance.randrange(40 * 86_400)) for _ in range(40)]


def _text(amount: Decimal | int) -> str:
    return f"{amount:.2f}"


class Recount:
    """The same rows counted by plain loops."""

    def __init__(self, zone: ZoneInfo, now: datetime, owner: User | None) -> None:
        self.zone, self.now = zone, now
        paid = [
            row
            for row in Transaction.objects.select_related("user")
            if row.status in ("completed", "refunded")
        ]
        self.sales = [row for row in paid if self.within(row.completed_at) and owner in (None, row.user)]
        vouchers = [row for row in Voucher.objects.select_related("user") if owner in (None, row.user)]
        self.vouchers = [row for row in vouchers if self.within(row.purchase_date)]
        self.all_vouchers = vouchers
        uses = VoucherUsage.objects.select_related("voucher__user").exclude(
            pk__in=UsageReversal.objects.values("usage")
        )
        self.uses = [row for row in uses if self.within(row.used_at) and owner in (None, row.voucher.user)]

    def day(self, moment: datetime | None) -> date:
        assert moment
        return moment.astimezone(self.zone).date()

    def within(self, moment: datetime | None) -> bool:
        return moment is not None and FIRST <= self.day(moment) <= LAST

    def money(self, rows: list[Transaction], name: str, currency: str = "USD") -> Decimal:
        return sum((getattr(row, name) for row in rows if row.currency == currency), Decimal(0))

    def beside(self, rows: list[Transaction], gross: str, *, net: bool = False) -> list[dict[str, str]]:
        """The sums in each other currency, by its code, under the names that they have in the answer."""
        months = []
        for currency in sorted({row.currency for row in rows} - {"USD"}):
            paid, back, goodwill = (
                self.money(rows, name, currency) for name in ("amount", "amount_refunded", "amount_goodwill")
            )
            sums = {
                "currency": currency,
                gross: _text(paid),
                "refunded": _text(back),
                "goodwill": _text(goodwill),
            }
            on_the_day = {"refunds_paid": "0.00", "disputes_lost": "0.00"} if net else {}
            months.append({**sums, "net": _text(paid - back), **on_the_day})
        return months

    def days(self) -> list[date]:
        return [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]

    def moments(self) -> list[datetime]:
        paid = [row.completed_at for row in self.sales if row.completed_at]
        return paid + [row.used_at for row in self.uses]

    def status(self, voucher: Voucher) -> str:
        if not voucher.is_active:
            return "inactive"
        if not voucher.uses_remaining:
            return "used"
        return "active" if voucher.expiry_date > self.now else "expired"

    def dashboard(self) -> dict[str, Any]:
        statuses = Counter(self.status(voucher) for voucher in self.vouchers)
        redeemed = [row for row in self.vouchers if row.uses_remaining < row.total_uses]
        first = [
            (row.used_at - row.voucher.purchase_date).total_seconds() for row in self.uses if row.use_no == 1
        ]
        return {
            "totals": {
                "purchases": len(self.sales),
                "revenue": _text(self.money(self.sales, "amount")),
                "refunded": _text(self.money(self.sales, "amount_refunded")),
                "goodwill": _text(self.money(self.sales, "amount_goodwill")),
                "net": _text(self.money(self.sales, "amount") - self.money(self.sales, "amount_refunded")),
                "other_currencies": self.beside(self.sales, "revenue"),
                "vouchers_issued": len(self.vouchers),
                "vouchers_free": sum(row.batch_id is not None for row in self.vouchers),
                "vouchers_redeemed": len(redeemed),
                "redemption_rate": f"{Decimal(len(redeemed)) / len(self.vouchers):.4f}",
                **{
                    f"vouchers_{status}": statuses[status]
                    for status in ("active", "used", "expired", "inactive")
                },
                "redemptions": len(self.uses),
                "seconds_to_first_use": round(sum(first, 0) / len(first)) if first else None,
            },
            "series": [
                {
                    "date": f"{day}",
                    "purchases": sum(self.day(row.completed_at) == day for row in self.sales),
                    "revenue": _text(
                        self.money([row for row in self.sales if self.day(row.completed_at) == day], "amount")
                    ),
                    "other_currencies": self.beside(
                        [row for row in self.sales if self.day(row.completed_at) == day], "revenue"
                    ),
                    "vouchers_issued": sum(self.day(row.purchase_date) == day for row in self.vouchers),
                    "redemptions": sum(self.day(row.used_at) == day for row in self.uses),
                }
                for day in self.days()
            ],
            "by_type": {
                type_id: (
                    sum(row.voucher_type_id == type_id for row in self.vouchers),
                    _text(
                        self.money([row for row in self.sales if row.voucher_type_id == type_id], "amount")
                    ),
                    sum(row.voucher.voucher_type_id == type_id for row in self.uses),
                    self.beside([row for row in self.sales if row.voucher_type_id == type_id], "revenue"),
                )
                for type_id in {
                    *(row.voucher_type_id for row in self.sales),
                    *(row.voucher_type_id for row in self.vouchers),
                    *(row.voucher.voucher_type_id for row in self.uses),
                }
            },
            "recent": sorted(self.moments(), reverse=True)[:10],
        }

    def revenue(self) -> dict[str, Any]:
        def figures(rows: list[Transaction]) -> dict[str, Any]:
            gross, refunded = self.money(rows, "amount"), self.money(rows, "amount_refunded")
            return {
                "purchases": len(rows),
                "gross": _text(gross),
                "refunded": _text(refunded),
                "goodwill": _text(self.money(rows, "amount_goodwill")),
                "net": _text(gross - refunded),
                "refunds_paid": "0.00",
                "disputes_lost": "0.00",
                "other_currencies": self.beside(rows, "gross", net=True),
            }

        totals = self.dashboard()["totals"]
        return {
            "daily": [
                {
                    "date": f"{day}",
                    **figures([row for row in self.sales if self.day(row.completed_at) == day]),
                }
                for day in self.days()
            ],
            "by_type": {
                type_id: figures([row for row in self.sales if row.voucher_type_id == type_id])
                for type_id in {row.voucher_type_id for row in self.sales}
            },
            "totals": {
                **figures(self.sales),
                **{name: totals[name] for name in ("redemption_rate", "seconds_to_first_use")},
            },
            **self.obligations("USD"),
            "other_currencies": [{"currency": "EUR", **self.obligations("EUR")}],
            "breakage_by_day": [
                {
                    "date": f"{day}",
                    "currency": currency,
                    "breakage": self.unused("expired", currency, day=day),
                }
                for day in self.days()
                for currency in ("EUR", "USD")
                if self.unused("expired", currency, day=day) != "0.00"
            ],
        }

    def obligations(self, currency: str) -> dict[str, str]:
        return {
            "outstanding_liability": self.unused("active", currency),
            "breakage": self.unused("expired", currency),
            "unpaid_outstanding": self.unused("active", currency, paid=False),
            "unpaid_expired": self.unused("expired", currency, paid=False),
        }

    def unused(self, status: str, currency: str, *, paid: bool = True, day: date | None = None) -> str:
        sold = set(SoldVoucher.objects.values_list("voucher_id", flat=True))
        value = sum(
            Fraction(row.face_value) * row.uses_remaining / row.total_uses
            for row in self.all_vouchers
            if row.currency == currency
            and self.status(row) == status
            and (row.pk in sold) is paid
            and day in (None, self.day(row.expiry_date))
        )
        fraction = Fraction(value)
        exact = Decimal(fraction.numerator) / Decimal(fraction.denominator)
        return str(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


class RecountTests(ApiTestCase):
    maxDiff = None

    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()
        self.staff = make_staff()
        self.users = [self.customer, make_other_customer(), self.staff]

    def test_every_figure_equals_a_recount_of_the_rows(self) -> None:
        for seed, name in enumerate(ZONES):
            chance, zone, now = random.Random(seed), ZoneInfo(name), timezone.now()
            moments = _moments(chance, zone)
            fill_books(chance, users=self.users, moments=moments, now=now, purchases=60)
            for voucher in Voucher.objects.filter(expiry_date__lt=now):  # on any day of the period
                Voucher.objects.filter(pk=voucher.pk).update(expiry_date=chance.choice(moments))
            with self.subTest(name), override_settings(TIME_ZONE=name):
                self.compare_dashboard(self.staff, "dashboard", Recount(zone, now, None))
                self.compare_dashboard(self.customer, "dashboard", Recount(zone, now, self.customer))
                self.compare_dashboard(self.staff, "user", Recount(zone, now, self.staff))
                self.compare_revenue(Recount(zone, now, None))

    def compare_dashboard(self, user: User, address: str, recount: Recount) -> None:
        answer = self.ask(user, address)
        expected = recount.dashboard()
        self.assertGreater(expected["totals"]["purchases"], 5)
        self.assertGreater(expected["totals"]["redemptions"], 5)
        self.assertEqual(answer["totals"], expected["totals"])
        self.assertEqual(answer["series"], expected["series"])
        by_type = {
            row["voucher_type"]["id"]: (
                row["sold"],
                row["revenue"],
                row["redeemed"],
                row["other_currencies"],
            )
            for row in answer["by_voucher_type"]
        }
        self.assertEqual(by_type, expected["by_type"])
        self.assertEqual(
            [datetime.fromisoformat(event["at"]) for event in answer["recent"]], expected["recent"]
        )

    def compare_revenue(self, recount: Recount) -> None:
        answer = self.ask(self.staff, "revenue")
        expected = recount.revenue()
        self.assertGreater(len(expected["breakage_by_day"]), 2)
        by_type = {row["voucher_type"].pop("id"): row for row in answer.pop("by_voucher_type")}
        for row in by_type.values():
            del row["voucher_type"]
        self.assertEqual(by_type, expected.pop("by_type"))
        del answer["currency"], answer["period"]
        self.assertEqual(answer, expected)

    def ask(self, user: User, address: str) -> dict[str, Any]:
        response = self.signed_in(user).get(
            f"/api/analytics/{address}/", {"from": f"{FIRST}", "to": f"{LAST}"}
        )
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()
