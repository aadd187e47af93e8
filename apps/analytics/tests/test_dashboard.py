"""The figures of a period, for the platform and for a person."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.test import override_settings
from django.utils import timezone

from apps.users.tests.factories import make_customer, make_other_customer, make_staff, make_user
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_type
from tests.support.cases import ApiTestCase

from .factories import give_back, issue, make_purchase, use, vouchers_of

DASHBOARD = "/api/analytics/dashboard/"
PERSONAL = "/api/analytics/user/"
NOTHING = {
    "purchases": 0,
    "revenue": "0.00",
    "refunded": "0.00",
    "goodwill": "0.00",
    "net": "0.00",
    "other_currencies": [],
    "vouchers_issued": 0,
    "vouchers_free": 0,
    "vouchers_redeemed": 0,
    "redemption_rate": None,
    "vouchers_active": 0,
    "vouchers_used": 0,
    "vouchers_expired": 0,
    "vouchers_inactive": 0,
    "redemptions": 0,
    "seconds_to_first_use": None,
}


class DashboardTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()
        self.other_customer = make_other_customer()
        self.staff = make_staff()
        self.now = timezone.now()

    def figures(self, user: Any, address: str = DASHBOARD, **query: Any) -> dict[str, Any]:
        response = self.signed_in(user).get(address, query)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()


class DashboardTests(DashboardTestCase):
    def test_it_refuses_somebody_who_is_not_signed_in(self) -> None:
        for address in (DASHBOARD, PERSONAL):
            self.assertProblem(self.api.get(address), 401, "not_authenticated")

    def test_it_has_the_documented_shape_when_there_is_nothing_to_tell(self) -> None:
        today = timezone.localdate()
        answer = self.figures(self.customer)
        series = answer.pop("series")
        self.assertEqual(
            answer,
            {
                "scope": "personal",
                "currency": "USD",
                "period": {"from": f"{today - timedelta(days=29)}", "to": f"{today}"},
                "totals": NOTHING,
                "by_voucher_type": [],
                "recent": [],
            },
        )
        self.assertEqual(
            [day["date"] for day in series], [f"{today - timedelta(days=n)}" for n in range(29, -1, -1)]
        )
        zeros = {
            "purchases": 0,
            "revenue": "0.00",
            "other_currencies": [],
            "vouchers_issued": 0,
            "redemptions": 0,
        }
        for day in series:
            self.assertEqual(day, {"date": day["date"], **zeros})

    def test_it_counts_a_purchase_and_a_use_on_their_days_and_under_their_type(self) -> None:
        exam = make_type(name="Exam", price=Decimal("12.50"))
        bought = make_purchase(
            user=self.customer, voucher_type=exam, at=self.now - timedelta(days=2), quantity=2
        )
        use(vouchers_of(bought)[0], by=self.other_customer, at=self.now)
        answer = self.figures(self.customer, days=3)
        self.assertEqual(
            answer["totals"],
            {
                **NOTHING,
                "purchases": 1,
                "revenue": "25.00",
                "net": "25.00",
                "vouchers_issued": 2,
                "vouchers_redeemed": 1,
                "redemption_rate": "0.5000",
                "vouchers_active": 1,
                "vouchers_used": 1,
                "redemptions": 1,
                "seconds_to_first_use": 2 * 24 * 3600,
            },
        )
        columns = ("purchases", "revenue", "vouchers_issued", "redemptions")
        self.assertEqual(
            [tuple(day[column] for column in columns) for day in answer["series"]],
            [(1, "25.00", 2, 0), (0, "0.00", 0, 0), (0, "0.00", 0, 1)],
        )
        self.assertEqual(
            answer["by_voucher_type"],
            [
                {
                    "voucher_type": {"id": exam.pk, "name": "Exam", "service_type": "exam_results"},
                    "sold": 2,
                    "revenue": "25.00",
                    "other_currencies": [],
                    "redeemed": 1,
                }
            ],
        )

    def test_a_use_that_was_given_back_is_no_redemption(self) -> None:
        bought = make_purchase(
            user=self.customer, voucher_type=make_type(max_uses=2), at=self.now, quantity=2
        )
        redeemer = make_user(date_joined=self.now - timedelta(days=400))
        for voucher in vouchers_of(bought):
            given_back = use(voucher, by=redeemer, at=self.now - timedelta(days=1))
            give_back(given_back, by=self.staff, at=self.now)
        reversed_use = use(vouchers_of(bought)[0], by=self.other_customer, at=self.now)
        for user in (self.customer, self.staff):
            answer = self.figures(user, days=2)
            totals = answer["totals"]
            self.assertEqual((totals["redemptions"], totals["vouchers_active"]), (1, 2))
            self.assertEqual([day["redemptions"] for day in answer["series"]], [0, 1])
            self.assertEqual([row["redeemed"] for row in answer["by_voucher_type"]], [1])
            self.assertEqual([event["type"] for event in answer["recent"]], ["purchase", "redemption"])
        # Who bought, and who redeemed.
        self.assertEqual(self.figures(self.staff, days=2)["users"]["active"], 2)
        give_back(reversed_use, by=self.staff, at=self.now)
        answer = self.figures(self.customer)
        self.assertEqual((answer["totals"]["redemptions"], len(answer["recent"])), (0, 1))
        statistics = self.signed_in(self.customer).get("/api/vouchers/stats/").json()
        self.assertEqual(statistics["total_redemptions"], 0)

    def test_it_counts_each_voucher_under_one_status(self) -> None:
        exam, at = make_type(max_uses=2), self.now - timedelta(days=1)
        issue(user=self.customer, voucher_type=exam, at=at)
        issue(user=self.customer, voucher_type=exam, at=at, uses_remaining=0, expiry_date=at)
        issue(user=self.customer, voucher_type=exam, at=at, uses_remaining=1, expiry_date=at)
        for _ in range(2):
            issue(
                user=self.customer,
                voucher_type=exam,
                at=at,
                **held(Hold.DISPUTED),
                uses_remaining=0,
                expiry_date=at,
            )
        totals = self.figures(self.customer)["totals"]
        statuses = {name: value for name, value in totals.items() if name.startswith("vouchers_")}
        self.assertEqual(
            statuses,
            {
                "vouchers_issued": 5,
                "vouchers_free": 0,
                "vouchers_redeemed": 4,
                "vouchers_active": 1,
                "vouchers_used": 1,
                "vouchers_expired": 1,
                "vouchers_inactive": 2,
            },
        )

    def test_money_in_other_currencies_stands_beside_that_in_the_default_one(self) -> None:
        euro = make_type(name="Abroad", price=Decimal("8.00"), currency="EUR")
        yen = make_type(name="Yen", price=Decimal("1050"), currency="JPY")
        free = make_type(name="Free", price=0, currency="GHS")
        make_purchase(user=self.customer, voucher_type=euro, at=self.now)
        make_purchase(user=self.customer, at=self.now)
        for days in (0, 1):
            make_purchase(
                user=self.customer,
                voucher_type=yen,
                at=self.now - timedelta(days=days),
                amount_refunded=Decimal(50),
                amount_goodwill=Decimal(50),
            )
        make_purchase(user=self.customer, voucher_type=free, at=self.now)
        euros = {"currency": "EUR", "revenue": "8.00", "refunded": "0.00", "goodwill": "0.00", "net": "8.00"}
        yens = {
            "currency": "JPY",
            "revenue": "1050.00",
            "refunded": "50.00",
            "goodwill": "50.00",
            "net": "1000.00",
        }
        for user, address in ((self.customer, DASHBOARD), (self.customer, PERSONAL), (self.staff, DASHBOARD)):
            answer = self.figures(user, address, days=2)
            totals = answer["totals"]
            self.assertEqual(
                (totals["purchases"], totals["revenue"], totals["vouchers_issued"]), (5, "10.00", 5)
            )
            both_days = {
                "currency": "JPY",
                "revenue": "2100.00",
                "refunded": "100.00",
                "goodwill": "100.00",
                "net": "2000.00",
            }
            self.assertEqual(totals["other_currencies"], [euros, both_days])
            self.assertEqual([day["other_currencies"] for day in answer["series"]], [[yens], [euros, yens]])
            by_type = {row["voucher_type"]["name"]: row for row in answer["by_voucher_type"]}
            self.assertEqual(by_type["Abroad"]["other_currencies"], [euros])
            self.assertEqual(by_type["Yen"]["other_currencies"], [both_days])
            self.assertEqual((by_type["Yen"]["revenue"], by_type["Free"]["other_currencies"]), ("0.00", []))
        with override_settings(DEFAULT_CURRENCY="EUR"):
            answer = self.figures(self.customer)
        self.assertEqual((answer["currency"], answer["totals"]["revenue"]), ("EUR", "8.00"))
        self.assertEqual(answer["by_voucher_type"][0]["revenue"], "8.00")

    def test_it_counts_a_purchase_only_once_its_money_has_arrived(self) -> None:
        unpaid: dict[str, Any] = {"completed_at": None, "created_at": self.now}
        for status in ("pending", "failed"):
            bought = make_purchase(user=self.customer, at=self.now, status=status, **unpaid)
            self.assertIsNone(bought.completed_at)
        make_purchase(user=self.customer, at=self.now, created_at=self.now - timedelta(days=40))
        totals = self.figures(self.customer)["totals"]
        self.assertEqual((totals["purchases"], totals["revenue"]), (1, "10.00"))

    def test_it_keeps_a_refunded_purchase_in_revenue_and_tells_what_went_back(self) -> None:
        make_purchase(user=self.customer, at=self.now, status="refunded", amount_refunded=Decimal("10.00"))
        make_purchase(user=self.customer, at=self.now, amount_refunded=Decimal("0.40"))
        totals = self.figures(self.customer)["totals"]
        self.assertEqual((totals["purchases"], totals["revenue"], totals["refunded"]), (2, "20.00", "10.40"))

    def test_a_person_sees_their_own_figures_only(self) -> None:
        mine = make_purchase(user=self.customer, at=self.now)
        theirs = make_purchase(user=self.other_customer, at=self.now, quantity=3)
        use(vouchers_of(mine)[0], by=self.other_customer, at=self.now)
        use(vouchers_of(theirs)[0], by=self.customer, at=self.now)
        answer = self.figures(self.customer)
        self.assertEqual(answer["scope"], "personal")
        self.assertNotIn("users", answer)
        totals = answer["totals"]
        self.assertEqual(
            (totals["purchases"], totals["revenue"], totals["vouchers_issued"], totals["redemptions"]),
            (1, "10.00", 1, 1),
        )
        self.assertEqual(
            [type_["voucher_type"]["id"] for type_ in answer["by_voucher_type"]], [mine.voucher_type_id]
        )
        self.assertEqual({event["voucher_type"] for event in answer["recent"]}, {mine.voucher_type.name})

    def test_staff_see_the_platform_and_under_user_themselves(self) -> None:
        make_purchase(user=self.customer, at=self.now)
        make_purchase(user=self.staff, at=self.now, quantity=2)
        platform = self.figures(self.staff)
        self.assertEqual((platform["scope"], platform["totals"]["revenue"]), ("platform", "30.00"))
        personal = self.figures(self.staff, PERSONAL)
        self.assertEqual((personal["scope"], personal["totals"]["revenue"]), ("personal", "20.00"))
        self.assertNotIn("users", personal)

    def test_a_customer_gets_the_same_from_both_addresses(self) -> None:
        make_purchase(user=self.customer, at=self.now)
        self.assertEqual(self.figures(self.customer), self.figures(self.customer, PERSONAL))

    def test_users_are_counted_whenever_they_joined_bought_or_signed_in(self) -> None:
        before = self.now - timedelta(days=400)
        cast = (self.customer, self.other_customer, self.staff)
        for user in cast:
            user.date_joined = before
            user.save()
        buyer, redeemer, newcomer = (make_user(date_joined=day) for day in (before, before, self.now))
        bought = make_purchase(user=buyer, at=self.now)
        make_purchase(user=self.customer, at=before)
        use(vouchers_of(bought)[0], by=redeemer, at=self.now)
        newcomer.last_login = self.now
        newcomer.save()
        self.customer.last_login = before
        self.customer.save()
        users = self.figures(self.staff)["users"]
        self.assertEqual(users, {"total": 6, "new": 1, "active": 3})
        before_day = f"{timezone.localdate(before)}"
        users = self.figures(self.staff, **{"from": before_day, "to": before_day})["users"]
        self.assertEqual(users, {"total": 6, "new": 5, "active": 1})

    def test_types_are_listed_by_name_if_anything_happened_with_them(self) -> None:
        for name in ("Second", "First", "Nothing"):
            voucher_type = make_type(name=name)
            if name != "Nothing":
                make_purchase(user=self.customer, voucher_type=voucher_type, at=self.now)
        names = [row["voucher_type"]["name"] for row in self.figures(self.customer)["by_voucher_type"]]
        self.assertEqual(names, ["First", "Second"])

    def test_sums_that_are_larger_than_any_price_are_shown_to_the_cent(self) -> None:
        dear = make_type(name="Dear", price=Decimal("99999999.99"))
        for _ in range(3):
            make_purchase(user=self.customer, voucher_type=dear, at=self.now, quantity=90)
        self.assertEqual(self.figures(self.customer)["totals"]["revenue"], "26999999997.30")

    def test_the_number_of_queries_does_not_grow_with_the_rows(self) -> None:
        bought = make_purchase(user=self.customer, at=self.now)
        use(vouchers_of(bought)[0], by=self.customer, at=self.now)
        staff, customer = self.signed_in(self.staff), self.signed_in(self.customer)

        def ask() -> None:
            # The session, what is counted, all from the rows, types, two recent, what is counted of users, all and
            # active ones from the rows, refusals
            with self.assertQueries(10):
                staff.get(DASHBOARD)
            with self.assertQueries(6):
                customer.get(DASHBOARD)
            with self.assertQueries(6):
                staff.get(PERSONAL)

        bought = make_purchase(user=self.staff, at=self.now)
        use(vouchers_of(bought)[0], by=self.staff, at=self.now)
        ask()
        types = [make_type() for _ in range(5)]
        for number in range(200):
            bought = make_purchase(
                user=(self.customer, self.other_customer, self.staff)[number % 3],
                voucher_type=types[number % 5],
                at=self.now - timedelta(days=number % 25),
            )
            use(vouchers_of(bought)[0], by=self.customer, at=self.now)
        ask()
