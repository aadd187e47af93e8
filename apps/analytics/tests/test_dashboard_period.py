"""The period of the dashboard: its parameters, its days, and their time zone."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import time_machine
from django.test import override_settings
from django.utils import timezone

from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase

from .factories import make_purchase, use, vouchers_of

DASHBOARD = "/api/analytics/dashboard/"


class PeriodTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()
        self.client_of_customer = self.signed_in(self.customer)

    def period(self, **query: Any) -> tuple[str, str, int]:
        response = self.client_of_customer.get(DASHBOARD, query)
        self.assertEqual(response.status_code, 200, response.content)
        answer = response.json()
        return answer["period"]["from"], answer["period"]["to"], len(answer["series"])

    def test_days_count_back_from_today(self) -> None:
        today = timezone.localdate()
        for days in (1, 30, 366):
            self.assertEqual(
                self.period(days=days), (f"{today - timedelta(days=days - 1)}", f"{today}", days)
            )

    def test_from_and_to_are_inclusive(self) -> None:
        self.assertEqual(
            self.period(**{"from": "2024-02-28", "to": "2024-03-01"}), ("2024-02-28", "2024-03-01", 3)
        )
        self.assertEqual(self.period(**{"from": "2024-02-29", "to": "2024-02-29"})[2], 1)
        self.assertEqual(self.period(**{"from": "2024-01-01", "to": "2024-12-31"})[2], 366)

    def test_from_alone_ends_today_and_to_alone_has_thirty_days(self) -> None:
        today = timezone.localdate()
        week_ago = today - timedelta(days=7)
        self.assertEqual(self.period(**{"from": week_ago}), (f"{week_ago}", f"{today}", 8))
        self.assertEqual(self.period(to="2024-03-01"), ("2024-02-01", "2024-03-01", 30))

    def test_it_names_the_parameter_that_is_wrong(self) -> None:
        tomorrow = timezone.localdate() + timedelta(days=1)
        wrong: list[tuple[dict[str, Any], str, str]] = [
            ({"days": 0}, "days", "min_value"),
            ({"days": -1}, "days", "min_value"),
            ({"days": 367}, "days", "max_value"),
            ({"days": "9" * 500}, "days", "invalid"),
            ({"days": "30.0"}, "days", "invalid"),
            ({"days": "many"}, "days", "invalid"),
            ({"days": "٣٠"}, "days", "invalid"),
            ({"from": "yesterday"}, "from", "invalid"),
            ({"from": "2025-02-29"}, "from", "invalid"),
            ({"to": "2025-13-01"}, "to", "invalid"),
            ({"to": "2025-01-01T00:00:00Z"}, "to", "invalid"),
            ({"to": "2025-01-01\0"}, "to", "invalid"),
            ({"from": "0001-01-01"}, "from", "out_of_range"),
            ({"to": "0001-01-01"}, "to", "out_of_range"),
            ({"to": "9999-12-31"}, "to", "out_of_range"),
            ({"from": "2025-02-02", "to": "2025-02-01"}, "from", "period_reversed"),
            ({"from": tomorrow}, "from", "period_reversed"),
            ({"from": "2024-01-01", "to": "2025-01-01"}, "from", "period_too_long"),
            ({"from": "1970-01-01", "to": "9998-12-31"}, "from", "period_too_long"),
            ({"days": 5, "from": "2025-02-02"}, "days", "not_together"),
            ({"days": 5, "to": "2025-02-02"}, "days", "not_together"),
        ]
        for query, name, code in wrong:
            with self.subTest(query):
                response = self.client_of_customer.get(DASHBOARD, query)
                document = self.assertProblem(response, 400, "validation_error")
                self.assertEqual(
                    {key: [e["code"] for e in of] for key, of in document["errors"].items()}, {name: [code]}
                )

    def test_the_ends_of_time_are_no_trouble(self) -> None:
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
            with override_settings(TIME_ZONE=zone):
                self.assertEqual(self.period(to="9998-12-31")[2], 30)
                self.assertEqual(self.period(to="1970-01-01")[2], 30)

    def test_days_are_those_of_the_projects_time_zone(self) -> None:
        zone = ZoneInfo("Pacific/Auckland")
        first, last = date(2025, 4, 4), date(2025, 4, 6)  # summer time ends on the 6th: a day of 25 hours
        start = datetime(2025, 4, 4, tzinfo=zone).astimezone(UTC)
        end = datetime(2025, 4, 7, tzinfo=zone).astimezone(UTC)
        self.assertEqual(end - start, timedelta(hours=73))
        instant = timedelta(microseconds=1)
        inside = [
            (start, 0),
            (start + timedelta(days=1) - instant, 0),
            (start + timedelta(days=1), 1),
            (end - instant, 2),
        ]
        for moment, _ in inside:
            bought = make_purchase(user=self.customer, at=moment)
            use(vouchers_of(bought)[0], by=self.customer, at=moment)
        for moment in (start - instant, end):
            bought = make_purchase(user=self.customer, at=moment)
            use(vouchers_of(bought)[0], by=self.customer, at=moment)
        with override_settings(TIME_ZONE="Pacific/Auckland"):
            answer = self.client_of_customer.get(DASHBOARD, {"from": f"{first}", "to": f"{last}"}).json()
        for column in ("purchases", "vouchers_issued", "redemptions"):
            self.assertEqual([day[column] for day in answer["series"]], [2, 1, 1], column)
            self.assertEqual(answer["totals"][column], 4, column)
        self.assertEqual(len(answer["recent"]), 8)

    def test_today_is_the_local_date(self) -> None:
        with (
            override_settings(TIME_ZONE="Pacific/Auckland"),
            time_machine.travel(datetime(2025, 6, 1, 13, tzinfo=UTC), tick=False),
        ):
            client = self.signed_in(self.customer)
            self.assertEqual(
                client.get(DASHBOARD, {"days": 1}).json()["period"],
                {"from": "2025-06-02", "to": "2025-06-02"},
            )
