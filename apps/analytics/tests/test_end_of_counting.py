"""Up to where the roll-up is counted: no sale is left out whose transaction takes long."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection, transaction
from django.utils import timezone

from apps.analytics.models import FiguresState
from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import state
from apps.payments.models import Transaction
from apps.users.tests.factories import make_customer
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules, rebuild_figures
from tests.support.cases import ApiTestCase, RaceTestCase

from .factories import make_purchase

NONE = timedelta(0)
RULES = ("daily_figures", "figures_shown", "active_days")


@skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
class LongTransactionTests(RaceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer, self.type = make_customer(), make_type()
        rebuild_figures()
        # What a first counting leaves out goes further back than this test.
        FiguresState.objects.update(counted_until=timezone.now())
        self.enterContext(patch.object(state, "MARGIN", NONE))

    def during_a_sale(self, act: Callable[[], Any]) -> Any:
        """What `act` returns while a sale is written and not committed; then it is."""
        written, done = Event(), Event()

        def sell() -> None:
            with transaction.atomic():
                self.customer.refresh_from_db()  # the first statement begins it
                make_purchase(user=self.customer, voucher_type=self.type, at=timezone.now())
                written.set()
                done.wait(self.patience)

        def watch() -> Any:
            written.wait(self.patience)
            try:
                return act()
            finally:
                done.set()

        return self.together(watch, sell)[0]

    @staticmethod
    def counted_until() -> Any:
        return FiguresState.objects.get().counted_until

    def test_a_sale_that_commits_after_a_counting_is_counted_by_the_next(self) -> None:
        self.during_a_sale(daily_figures.update)
        self.assertLess(self.counted_until(), Transaction.objects.get().completed_at)
        committed_at = timezone.now()
        daily_figures.update()
        self.assertGreaterEqual(self.counted_until(), committed_at)
        self.assertEqual(broken_rules(*RULES), {})

    def test_control_counting_that_goes_by_the_clock_alone_loses_it(self) -> None:
        with patch.object(state, "database_time", lambda: state.DatabaseTime(timezone.now(), NONE)):
            self.during_a_sale(daily_figures.update)
            daily_figures.update()
        self.assertIn("daily_figures", broken_rules(*RULES))

    def test_a_transaction_that_lasts_longer_than_any_sale_does_not_stop_the_counting(self) -> None:
        with patch.object(state, "LONGEST_TRANSACTION", NONE):
            self.assertEqual(self.during_a_sale(state.database_time).oldest_transaction, NONE)

    def test_a_transaction_that_is_not_to_be_seen_counts_as_one_of_the_longest(self) -> None:
        def by_another_role() -> timedelta:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("CREATE ROLE one_who_may_not_see")
                cursor.execute("SET LOCAL ROLE one_who_may_not_see")
                age = state.database_time().oldest_transaction
                transaction.set_rollback(True)
            return age

        self.assertEqual(self.during_a_sale(by_another_role), state.LONGEST_TRANSACTION)


class ClockTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        rebuild_figures()
        self.now = timezone.now()
        FiguresState.objects.update(counted_until=self.now - timedelta(hours=1))

    def counted_until(self, *, now: datetime, oldest_transaction: timedelta = NONE) -> datetime:
        """Up to where a job counts at `now`, by its clock; that of the database is right."""
        time = state.DatabaseTime(self.now, oldest_transaction)
        with patch.object(state, "database_time", lambda: time):
            daily_figures.update(now)
        return FiguresState.objects.get().counted_until

    def test_it_is_counted_until_a_margin_before_the_oldest_transaction_and_never_back(self) -> None:
        until = self.now - state.MARGIN - timedelta(seconds=30)
        for seconds in (30, 60):
            oldest = timedelta(seconds=seconds)
            self.assertEqual(self.counted_until(now=self.now, oldest_transaction=oldest), until)

    def test_a_clock_that_is_ahead_leaves_nothing_out(self) -> None:
        for minutes in (-2, 5):
            now = self.now + timedelta(minutes=minutes)
            self.assertEqual(self.counted_until(now=now), min(now, self.now) - state.MARGIN)

    def test_the_clock_of_the_database_is_read(self) -> None:
        self.assertLess(abs(state.database_time().now - timezone.now()), timedelta(minutes=1))
