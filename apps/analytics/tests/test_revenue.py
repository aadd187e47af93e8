"""What staff see of the money."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.test import override_settings
from django.utils import timezone

from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_type
from tests.support.cases import ApiTestCase

from .factories import issue, make_batch, make_purchase, use

REVENUE = "/api/analytics/revenue/"


class RevenueTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()
        self.staff = make_staff()
        self.now = timezone.now()

    def revenue(self, **query: Any) -> dict[str, Any]:
        response = self.signed_in(self.staff).get(REVENUE, query)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()

    def owed(self) -> tuple[str, str]:
        answer = self.revenue()
        return answer["outstanding_liability"], answer["breakage"]

    def test_it_is_for_staff(self) -> None:
        make_purchase(user=self.customer, at=self.now)
        self.assertProblem(self.api.get(REVENUE), 401, "not_authenticated")
        response = self.signed_in(self.customer).get(REVENUE)
        self.assertProblem(response, 403, "permission_denied")
        self.assertNotContains(response, "10.00", status_code=403)

    def test_it_refuses_a_bad_period(self) -> None:
        response = self.signed_in(self.staff).get(REVENUE, {"days": 0})
        self.assertEqual(list(self.assertProblem(response, 400, "validation_error")["errors"]), ["days"])

    def test_it_tells_gross_refunds_and_net_by_day_and_by_type(self) -> None:
        exam, school = make_type(name="Exam"), make_type(name="School", price=Decimal("25.00"))
        today = timezone.localdate()
        make_purchase(user=self.customer, voucher_type=exam, at=self.now - timedelta(days=1), quantity=2)
        back: Any = {"amount_refunded": Decimal("5.50"), "amount_goodwill": Decimal("1.50")}
        make_purchase(user=self.customer, voucher_type=school, at=self.now, **back)
        make_purchase(user=make_other_customer(), voucher_type=school, at=self.now)
        make_purchase(user=self.customer, voucher_type=exam, at=self.now - timedelta(days=9))
        answer = self.revenue(days=2)
        self.assertEqual(answer.pop("outstanding_liability"), "80.00")
        yesterday = f"{today - timedelta(days=1)}"
        self.assertEqual(
            answer,
            {
                "currency": "USD",
                "period": {"from": yesterday, "to": f"{today}"},
                "daily": [
                    {
                        "date": yesterday,
                        "purchases": 1,
                        "gross": "20.00",
                        "refunded": "0.00",
                        "goodwill": "0.00",
                        "net": "20.00",
                        "refunds_paid": "0.00",
                        "disputes_lost": "0.00",
                        "other_currencies": [],
                    },
                    {
                        "date": f"{today}",
                        "purchases": 2,
                        "gross": "50.00",
                        "refunded": "5.50",
                        "goodwill": "1.50",
                        "net": "44.50",
                        "refunds_paid": "0.00",
                        "disputes_lost": "0.00",
                        "other_currencies": [],
                    },
                ],
                "by_voucher_type": [
                    {
                        "voucher_type": {"id": exam.pk, "name": "Exam", "service_type": "exam_results"},
                        "purchases": 1,
                        "gross": "20.00",
                        "refunded": "0.00",
                        "goodwill": "0.00",
                        "net": "20.00",
                        "refunds_paid": "0.00",
                        "disputes_lost": "0.00",
                        "other_currencies": [],
                    },
                    {
                        "voucher_type": {"id": school.pk, "name": "School", "service_type": "exam_results"},
                        "purchases": 2,
                        "gross": "50.00",
                        "refunded": "5.50",
                        "goodwill": "1.50",
                        "net": "44.50",
                        "refunds_paid": "0.00",
                        "disputes_lost": "0.00",
                        "other_currencies": [],
                    },
                ],
                "totals": {
                    "purchases": 3,
                    "gross": "70.00",
                    "refunded": "5.50",
                    "goodwill": "1.50",
                    "net": "64.50",
                    "refunds_paid": "0.00",
                    "disputes_lost": "0.00",
                    "redemption_rate": "0.0000",
                    "seconds_to_first_use": None,
                    "other_currencies": [],
                },
                "breakage": "0.00",
                "unpaid_outstanding": "0.00",
                "unpaid_expired": "0.00",
                "other_currencies": [],
                "breakage_by_day": [],
            },
        )

    def test_liability_and_breakage_are_the_unused_part_of_what_was_paid(self) -> None:
        five = make_type(price=Decimal("45.00"), max_uses=5)
        past = self.now - timedelta(days=1)
        issue(user=self.customer, voucher_type=five, at=self.now, uses_remaining=2)
        issue(user=self.customer, voucher_type=five, at=self.now, uses_remaining=3, expiry_date=past)
        self.assertEqual(self.owed(), ("18.00", "27.00"))

    def test_liability_does_not_depend_on_the_period(self) -> None:
        issue(user=self.customer, voucher_type=make_type(), at=self.now - timedelta(days=300))
        self.assertEqual(self.owed(), ("10.00", "0.00"))

    def test_vouchers_that_are_used_or_inactive_or_in_another_currency_are_in_neither(self) -> None:
        one, past = make_type(), self.now - timedelta(days=1)
        issue(user=self.customer, voucher_type=one, at=self.now, uses_remaining=0)
        for expiry_date in (past, self.now + timedelta(days=1)):
            issue(
                user=self.customer,
                voucher_type=one,
                at=self.now,
                expiry_date=expiry_date,
                **held(Hold.REFUND_PENDING),
            )
        issue(user=self.customer, voucher_type=make_type(currency="EUR"), at=self.now)
        self.assertEqual(self.owed(), ("0.00", "0.00"))
        [beside] = self.revenue()["other_currencies"]
        self.assertEqual((beside["currency"], beside["outstanding_liability"]), ("EUR", "10.00"))
        with override_settings(DEFAULT_CURRENCY="EUR"):
            self.assertEqual(self.owed(), ("10.00", "0.00"))
            self.assertEqual(self.revenue()["other_currencies"], [])

    def test_sales_in_other_currencies_stand_beside_those_in_the_default_one(self) -> None:
        yen = make_type(name="Yen", price=Decimal("1050"), currency="JPY")
        make_purchase(
            user=self.customer,
            voucher_type=yen,
            at=self.now,
            amount_refunded=Decimal(50),
            amount_goodwill=Decimal(50),
        )
        answer = self.revenue(days=2)
        beside = {
            "currency": "JPY",
            "gross": "1050.00",
            "refunded": "50.00",
            "goodwill": "50.00",
            "net": "1000.00",
            "refunds_paid": "0.00",
            "disputes_lost": "0.00",
        }
        self.assertEqual(
            (answer["totals"]["gross"], answer["totals"]["other_currencies"]), ("0.00", [beside])
        )
        self.assertEqual([day["other_currencies"] for day in answer["daily"]], [[], [beside]])
        self.assertEqual([row["other_currencies"] for row in answer["by_voucher_type"]], [[beside]])
        self.assertEqual(
            answer["other_currencies"],
            [
                {
                    "currency": "JPY",
                    "outstanding_liability": "1050.00",
                    "breakage": "0.00",
                    "unpaid_outstanding": "0.00",
                    "unpaid_expired": "0.00",
                }
            ],
        )

    def test_batches_that_nobody_paid_for_are_no_liability(self) -> None:
        exam = make_type(price=Decimal("9.00"), max_uses=3)
        make_purchase(user=self.customer, voucher_type=exam, at=self.now)
        batch = make_batch(owner=self.customer, voucher_type=exam, quantity=3)
        use(batch[0], by=self.customer, at=self.now)
        Voucher.objects.filter(pk=batch[1].pk).update(expiry_date=self.now - timedelta(days=1))
        answer = self.revenue()
        self.assertEqual((answer["outstanding_liability"], answer["breakage"]), ("9.00", "0.00"))
        self.assertEqual((answer["unpaid_outstanding"], answer["unpaid_expired"]), ("15.00", "9.00"))

    def test_a_voucher_counts_with_what_was_paid_for_it_and_not_with_todays_price(self) -> None:
        exam = make_type()
        issue(user=self.customer, voucher_type=exam, at=self.now)
        exam.price = Decimal("99.00")
        exam.save()
        self.assertEqual(self.owed(), ("10.00", "0.00"))

    def test_only_the_total_is_rounded(self) -> None:
        three = make_type(max_uses=3)
        for _ in range(3):
            issue(user=self.customer, voucher_type=three, at=self.now, uses_remaining=2)
        self.assertEqual(self.owed()[0], "20.00")
        issue(user=self.customer, voucher_type=make_type(max_uses=7), at=self.now, uses_remaining=1)
        self.assertEqual(self.owed()[0], "21.43")

    def test_half_a_cent_is_rounded_up(self) -> None:
        cheap = make_type(price=Decimal("0.01"), max_uses=2)
        issue(user=self.customer, voucher_type=cheap, at=self.now, uses_remaining=1)
        self.assertEqual(self.owed()[0], "0.01")
        issue(user=self.customer, voucher_type=cheap, at=self.now)
        issue(user=self.customer, voucher_type=cheap, at=self.now)
        self.assertEqual(self.owed()[0], "0.03")

    def test_the_number_of_queries_does_not_grow_with_the_rows(self) -> None:
        client = self.signed_in(self.staff)
        for rows in (1, 200):
            types = [make_type(max_uses=uses) for uses in range(1, 1 + min(rows, 9))]
            for number in range(rows):
                at = self.now - timedelta(days=number % 25)
                make_purchase(user=self.customer, voucher_type=types[number % len(types)], at=at)
            # The session; what is counted, for each of three; obligations; all from the rows; types; what expired
            with self.assertQueries(8):
                client.get(REVENUE)
