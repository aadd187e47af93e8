"""Who was active is noted day by day, and counted once in any period, whatever is taken back later."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

import time_machine
from django.db import connection
from django.utils import timezone

from apps.analytics import selectors
from apps.analytics.models import ActiveDay, ActiveGap, CountedSignIn, ErasedSignIn, FiguresState
from apps.analytics.periods import Period
from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import active_days
from apps.users.models import User
from apps.users.services import close_account
from apps.users.tests.factories import PASSWORD, make_staff, make_user
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules, rebuild_figures
from tests.support.cases import ApiTestCase, RaceTestCase

from .factories import give_back, issue, make_purchase, use

NOW = datetime(2025, 12, 5, 9, 30, tzinfo=UTC)


def moment(day: int, month: int = 11) -> datetime:
    return datetime(2025, month, day, 12, tzinfo=UTC)


def sign_in(user: User, at: datetime) -> None:
    User.objects.filter(pk=user.pk).update(last_login=at)


def close(user: User) -> None:
    close_account(user=User.objects.get(pk=user.pk), password=PASSWORD)


class ActiveUsersTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = self.enterContext(time_machine.travel(NOW, tick=False))
        self.one, self.two, self.staff = make_user(), make_user(), make_staff()

    def issue(self) -> Any:
        return issue(user=self.one, voucher_type=make_type(price=0, max_uses=9), at=moment(1))

    def active(self, first: int, last: int) -> int:
        """How many were active from one day of November to another."""
        return selectors.user_figures(Period(date(2025, 11, first), date(2025, 11, last))).active

    def count(self) -> None:
        """Count what happened, an hour later."""
        self.clock.shift(timedelta(hours=1))
        daily_figures.update()

    def test_everybody_counts_once_in_any_period(self) -> None:
        for day in (3, 3, 5, 20):
            make_purchase(user=self.one, at=moment(day))
        use(self.issue(), by=self.two, at=moment(5))
        sign_in(self.two, moment(9))
        rebuild_figures()
        self.assertEqual(ActiveDay.objects.count(), 5)
        for first, last, number in (
            (1, 30, 2),
            (1, 2, 0),
            (3, 3, 1),
            (3, 5, 2),
            (4, 4, 0),
            (5, 9, 2),
            (6, 30, 2),
            (6, 19, 1),
            (10, 19, 0),
            (20, 20, 1),
            (21, 30, 0),
        ):
            with self.subTest(first=first, last=last):
                self.assertEqual(self.active(first, last), number)

    def test_an_active_day_is_over_with_the_last_of_its_uses(self) -> None:
        voucher = self.issue()
        uses = [use(voucher, by=self.one, at=moment(day)) for day in (3, 5, 5, 7)]
        rebuild_figures()
        for usage, number in ((uses[1], 1), (uses[2], 0)):
            give_back(usage, by=self.staff, at=timezone.now())
            self.assertEqual(self.active(5, 5), number)
            self.count()
            self.assertEqual(self.active(5, 5), number)
            self.assertEqual(self.active(1, 30), 1)
        gaps = ActiveGap.objects.filter(previous_day=date(2025, 11, 3)).values_list("next_day", "users")
        self.assertEqual(list(gaps), [(date(2025, 11, 7), 1)])
        self.assertEqual(broken_rules("active_days"), {})

    def test_only_the_last_sign_in_counts(self) -> None:
        sign_in(self.one, moment(3))
        rebuild_figures()
        self.assertEqual(self.active(1, 30), 1)
        sign_in(self.one, timezone.now())
        self.assertEqual(self.active(1, 30), 0)
        self.count()
        self.assertEqual(self.active(1, 30), 0)
        self.assertEqual(CountedSignIn.objects.get().day, date(2025, 12, 5))
        self.assertEqual(broken_rules("active_days"), {})

    def test_who_closes_their_account_has_not_signed_in(self) -> None:
        sign_in(self.one, moment(3))
        make_purchase(user=self.one, at=moment(9))
        sign_in(self.two, moment(5))
        rebuild_figures()
        self.assertEqual((self.active(1, 8), self.active(9, 9)), (2, 1))
        close(self.one)
        for _ in range(2):
            self.assertEqual((self.active(1, 8), self.active(9, 9)), (1, 1))
            self.assertEqual(broken_rules("active_days"), {})
            self.count()
        self.assertFalse(ErasedSignIn.objects.exists())
        self.assertEqual(CountedSignIn.objects.get().user_id, self.two.pk)

    def test_what_a_version_counted_that_knows_no_active_days_is_counted_later(self) -> None:
        rebuild_figures()
        for active_until in (NOW - timedelta(days=3), None):
            make_purchase(user=make_user(), at=NOW - timedelta(days=2))
            FiguresState.objects.update(active_until=active_until)
            before = selectors.user_figures(Period(date(2025, 12, 1), date(2025, 12, 5))).active
            self.count()
            after = selectors.user_figures(Period(date(2025, 12, 1), date(2025, 12, 5))).active
            self.assertEqual(after, before)
            self.assertEqual(broken_rules("active_days"), {})

    def test_the_audit_notices_what_is_wrong_and_rebuilding_repairs_it(self) -> None:
        # A few days back, since each repair counts all days from the first.
        for day in (1, 4):
            make_purchase(user=self.one, at=moment(day, month=12))
        sign_in(self.one, moment(2, month=12))
        faults: list[Callable[[], Any]] = [
            lambda: ActiveDay.objects.update(events=7),
            lambda: ActiveDay.objects.all()[0].delete(),
            lambda: ActiveDay.objects.create(user=self.two, day=date(2025, 12, 2), events=1),
            lambda: ActiveGap.objects.update(users=7),
            lambda: ActiveGap.objects.all()[0].delete(),
            lambda: CountedSignIn.objects.update(day=date(2025, 11, 11)),
            CountedSignIn.objects.all().delete,
            lambda: CountedSignIn.objects.create(user=self.two, day=date(2025, 12, 2)),
            lambda: User.objects.update(last_login=None),
        ]
        rebuild_figures()
        for number, fault in enumerate(faults):
            with self.subTest(number):
                self.assertEqual(broken_rules("active_days"), {})
                fault()
                self.assertTrue(broken_rules("active_days"))
                rebuild_figures()


@skipUnless(connection.vendor == "postgresql", "SQLite has one writer at a time")
class ClosingDuringCountingTests(RaceTestCase):
    def close_while_counted(self) -> None:
        """An account is closed after its sign-in was read to be noted, and before it is."""
        user = make_user()
        sign_in(user, timezone.now() - timedelta(hours=1))
        rows = active_days.sign_ins

        def sign_ins(since: datetime, until: datetime) -> Any:
            read = list(rows(since, until))
            if read and not ErasedSignIn.objects.exists():
                self.together(lambda: close(user))
            return read

        FiguresState.objects.update(active_until=timezone.now() - timedelta(days=1))
        with patch.object(active_days, "sign_ins", sign_ins):
            daily_figures.update()
        self.assertTrue(CountedSignIn.objects.filter(user=user).exists())
        self.assertIsNone(User.objects.get(pk=user.pk).last_login)

    def test_the_next_counting_takes_back_a_sign_in_that_was_erased_meanwhile(self) -> None:
        daily_figures.update()
        self.close_while_counted()
        today = timezone.localdate()
        for _ in range(2):
            period = Period(today - timedelta(days=1), today)
            self.assertEqual(selectors.user_figures(period).active, 0)
            self.assertEqual(broken_rules("active_days"), {})
            daily_figures.update()
        self.assertFalse(CountedSignIn.objects.exists())

    def test_control_without_the_note_of_the_closing_it_stays(self) -> None:
        daily_figures.update()
        self.close_while_counted()
        ErasedSignIn.objects.all().delete()
        daily_figures.update()
        self.assertTrue(broken_rules("active_days"))
