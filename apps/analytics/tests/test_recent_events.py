"""What happened last on a dashboard: purchases and redemptions of the period."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.analytics.selectors.events import _last_redemptions
from apps.analytics.selectors.metrics import DayFigures, Metrics
from apps.vouchers.tests.factories import make_type

from .factories import give_back, make_purchase, use, vouchers_of
from .test_dashboard import DASHBOARD, DashboardTestCase


class RecentEventTests(DashboardTestCase):
    def test_recent_has_the_last_ten_events_newest_first_without_codes(self) -> None:
        moments = [self.now - timedelta(minutes=minute) for minute in range(1, 9)]
        exam = make_type(name="Exam", price=Decimal("2.50"))
        for number, moment in enumerate(moments):
            bought = make_purchase(user=self.customer, voucher_type=exam, at=moment, quantity=number % 3 + 1)
            use(vouchers_of(bought)[0], by=self.customer, at=moment + timedelta(seconds=30))
        response = self.signed_in(self.customer).get(DASHBOARD)
        recent = response.json()["recent"]
        self.assertEqual([event["type"] for event in recent], ["redemption", "purchase"] * 5)
        self.assertEqual(recent, sorted(recent, key=lambda event: event["at"], reverse=True))
        self.assertEqual(
            recent[:2],
            [
                {
                    "type": "redemption",
                    "at": f"{moments[0] + timedelta(seconds=30):%Y-%m-%dT%H:%M:%S.%fZ}",
                    "voucher_type": "Exam",
                    "quantity": 1,
                    "amount": None,
                    "currency": None,
                },
                {
                    "type": "purchase",
                    "at": f"{moments[0]:%Y-%m-%dT%H:%M:%S.%fZ}",
                    "voucher_type": "Exam",
                    "quantity": 1,
                    "amount": "2.50",
                    "currency": "USD",
                },
            ],
        )
        self.assertEqual(recent[3]["amount"], "5.00")
        for voucher in self.customer.vouchers.all():
            for code in (voucher.code, voucher.shown_code):
                self.assertNotIn(code, response.content.decode())

    def test_the_last_redemptions_may_lie_on_many_days_between_those_of_others(self) -> None:
        bought = make_purchase(
            user=self.customer,
            voucher_type=make_type(max_uses=99),
            at=self.now - timedelta(days=29),
            quantity=1,
        )
        (voucher,) = vouchers_of(bought)
        theirs = make_purchase(
            user=self.other_customer, voucher_type=make_type(max_uses=99), at=self.now - timedelta(days=29)
        )
        moments = [
            self.now - timedelta(days=days, minutes=minute) for days in (3, 4, 9) for minute in range(4)
        ]
        used = [use(voucher, by=self.customer, at=moment) for moment in reversed(moments)]
        for day in range(12):
            use(vouchers_of(theirs)[0], by=self.other_customer, at=self.now - timedelta(days=day))
        give_back(used[-1], by=self.staff, at=self.now)
        api = self.signed_in(self.customer)
        with self.assertQueries(6):
            recent = api.get(DASHBOARD).json()["recent"]
        shown = [datetime.fromisoformat(event["at"]) for event in recent]
        self.assertEqual(shown, moments[1:11])
        # Without any nobody looks for them.
        for usage in used[:-1]:
            give_back(usage, by=self.staff, at=self.now)
        with self.assertQueries(5):
            recent = api.get(DASHBOARD).json()["recent"]
        self.assertEqual([event["type"] for event in recent], ["purchase"])

    def test_they_are_looked_for_on_their_days_alone(self) -> None:
        days = [date(2027, 3, day) for day in range(1, 8)]
        for numbers, expected in (
            ((0, 0, 0, 0, 0, 0, 0), None),
            ((0, 2, 0, 1, 0, 0, 0), (2, 4)),
            ((1, 2, 0, 8, 0, 3, 0), (4, 6)),
            ((1, 1, 1, 1, 0, 0, 30), (7, 7)),
        ):
            by_day = [
                DayFigures(day, Metrics(redemptions=number))
                for day, number in zip(days, numbers, strict=True)
            ]
            with self.subTest(numbers):
                period = _last_redemptions(by_day)
                self.assertEqual(period and (period.first.day, period.last.day), expected)

    def test_recent_is_of_the_period(self) -> None:
        make_purchase(user=self.customer, at=self.now - timedelta(days=3))
        self.assertEqual(self.figures(self.customer, days=2)["recent"], [])
        self.assertEqual(len(self.figures(self.customer, days=4)["recent"]), 1)
