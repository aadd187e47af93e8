"""New accounts are counted by day, in the roll-up as in the rows, at any time."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import time_machine
from django.test import override_settings
from django.utils import timezone

from apps.analytics import selectors
from apps.analytics.models import DailyRegistrations, FiguresState
from apps.analytics.periods import Period
from apps.analytics.services import daily_figures
from apps.users.models import User
from apps.users.tests.factories import make_user
from tests.support.books import broken_rules, rebuild_figures
from tests.support.cases import ApiTestCase

NOW = datetime(2025, 11, 5, 9, 30, tzinfo=UTC)


class RegistrationsTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = self.enterContext(time_machine.travel(NOW, tick=False))

    def users(self, first: date, last: date) -> tuple[int, int]:
        """How many users there are, and how many of them are new."""
        figures = selectors.user_figures(Period(first, last))
        return figures.total, figures.new

    def count(self) -> None:
        """Count what happened, an hour later."""
        self.clock.shift(timedelta(hours=1))
        daily_figures.update()

    def assertCounted(self, numbers: dict[str, int]) -> None:
        rows = DailyRegistrations.objects.order_by("day").values_list("day", "users")
        self.assertEqual({f"{day}": number for day, number in rows}, numbers)

    def test_days_are_local_and_begin_with_their_first_moment(self) -> None:
        with override_settings(TIME_ZONE="America/New_York"):
            # Clocks go back on 2 November, so that it has 25 hours.
            for moment in (
                datetime(2025, 11, 2, 3, 59, 59, 999_999, tzinfo=UTC),
                datetime(2025, 11, 2, 4, tzinfo=UTC),
                datetime(2025, 11, 3, 4, 59, 59, 999_999, tzinfo=UTC),
                datetime(2025, 11, 3, 5, tzinfo=UTC),
            ):
                make_user(date_joined=moment)
            for _ in range(2):
                for day, new in ((1, 1), (2, 2), (3, 1), (4, 0)):
                    self.assertEqual(self.users(date(2025, 11, day), date(2025, 11, day)), (4, new))
                self.assertEqual(self.users(date(2025, 11, 2), date(2025, 11, 30)), (4, 3))
                rebuild_figures()
            self.assertCounted({"2025-11-01": 1, "2025-11-02": 2, "2025-11-03": 1})

    def test_who_joins_is_counted_at_once_and_stays_so(self) -> None:
        make_user(date_joined=NOW - timedelta(days=1))
        rebuild_figures()
        today = timezone.localdate()
        for number in range(1, 4):
            make_user(date_joined=timezone.now())
            self.assertEqual(self.users(today, today), (1 + number, number))
            self.count()
            self.assertEqual(self.users(today, today), (1 + number, number))
            self.assertEqual(broken_rules("registrations"), {})
        self.assertCounted({"2025-11-04": 1, "2025-11-05": 3})

    def test_a_roll_up_of_a_version_that_knows_none_is_brought_up_to_date(self) -> None:
        make_user(date_joined=NOW - timedelta(days=1))
        rebuild_figures()
        DailyRegistrations.objects.all().delete()
        FiguresState.objects.update(registered_until=None)
        for _ in range(2):
            self.assertEqual(self.users(date(2025, 11, 4), date(2025, 11, 4)), (1, 1))
            self.count()
        self.assertCounted({"2025-11-04": 1})

    def test_the_audit_notices_what_is_wrong_and_rebuilding_repairs_it(self) -> None:
        for days in (1, 9):
            make_user(date_joined=NOW - timedelta(days=days))
        faults: list[Callable[[], Any]] = [
            lambda: DailyRegistrations.objects.update(users=7),
            DailyRegistrations.objects.all().delete,
            lambda: DailyRegistrations.objects.create(day=date(2025, 11, 1), users=1),
            lambda: User.objects.update(date_joined=NOW - timedelta(days=5)),
        ]
        rebuild_figures()
        for number, fault in enumerate(faults):
            with self.subTest(number):
                self.assertEqual(broken_rules("registrations"), {})
                fault()
                self.assertTrue(broken_rules("registrations"))
                rebuild_figures()
