"""The audit and the roll-up: a wrong one is noticed, and one command repairs it; what happens meanwhile is no fault."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from itertools import cycle
from typing import Any
from unittest.mock import patch

from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import tag
from django.utils import timezone

from apps.analytics import tasks
from apps.analytics.models import (
    CountedDay,
    CountedOwner,
    CountedReturn,
    CountedVoucher,
    DailyFigures,
    FiguresState,
    OwnerDailyFigures,
    UnusedValue,
)
from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import jobs, owners
from apps.core import leases
from apps.core.models import Lease
from apps.core.snapshots import snapshot
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules, rebuild_figures
from tests.support.cases import ApiTestCase, RaceTestCase

from .books import BooksTestCase, count_until_now
from .business import BusinessTestCase, not_locked


def rebuild(*arguments: str) -> str:
    output = StringIO()
    call_command("rebuild_daily_figures", *arguments, stdout=output)
    return output.getvalue()


class RepairTests(BooksTestCase, ApiTestCase):
    def test_whatever_is_wrong_with_the_roll_up_one_command_repairs_it(self) -> None:
        self.fill()
        count_until_now()
        owners.count_owners([self.customer.pk])
        self.assertEqual(broken_rules(), {})
        faults: list[Callable[[], Any]] = [
            lambda: DailyFigures.objects.update(revenue=1),
            DailyFigures.objects.all().delete,
            lambda: OwnerDailyFigures.objects.update(vouchers_issued=7),
            OwnerDailyFigures.objects.all().delete,
            lambda: UnusedValue.objects.update(value=1),
            UnusedValue.objects.all().delete,
            lambda: CountedVoucher.objects.update(status="expired"),
            CountedVoucher.objects.all().delete,
            lambda: CountedReturn.objects.update(amount=1),
            lambda: CountedOwner.objects.update(vouchers=9),
        ]
        for number, fault in enumerate(faults):
            with self.subTest(number):
                fault()
                self.assertTrue(broken_rules())
                rebuild()
                self.assertEqual(broken_rules(), {})

    def test_without_a_day_without_a_roll_up_and_while_it_is_rebuilt_figures_are_right(self) -> None:
        self.fill()
        count_until_now()
        for model in (CountedOwner, CountedDay, FiguresState):
            model.objects.all().delete()
            self.assertEqual(broken_rules(), {})
        for _ in daily_figures.rebuild():
            self.assertEqual(broken_rules(), {})
        self.assertEqual(broken_rules(), {})


class CommandTests(ApiTestCase):
    def test_it_counts_the_days_that_are_named(self) -> None:
        today = timezone.localdate()
        first, last = (f"{today - timedelta(days=days)}" for days in (3, 2))
        self.assertIn("2 days", rebuild("--from", first, "--to", last))
        self.assertEqual([f"{row}" for row in CountedDay.objects.order_by("day")], [first, last])
        self.assertIn("3 days", rebuild("--from", last))
        self.assertEqual(CountedDay.objects.count(), 4)

    def test_it_refuses_days_that_make_no_sense(self) -> None:
        today = timezone.localdate()
        for arguments in (
            ("--from", "yesterday"),
            ("--from", "2026-02-30"),
            ("--to", f"{today + timedelta(days=1)}"),
            ("--from", f"{today}", "--to", f"{today - timedelta(days=1)}"),
        ):
            with self.subTest(arguments), self.assertRaises(CommandError):
                rebuild(*arguments)
        self.assertFalse(CountedDay.objects.exists())

    def test_stopped_it_says_how_to_go_on(self) -> None:
        today = timezone.localdate()
        count, days = jobs.count_day, iter(range(3))

        def stop(day: Any) -> None:
            if next(days) == 2:
                raise KeyboardInterrupt
            count(day)

        with patch.object(jobs, "count_day", stop), self.assertRaises(CommandError) as stopped:
            rebuild("--from", f"{today - timedelta(days=9)}")
        self.assertIn(f"--to {today - timedelta(days=2)}", str(stopped.exception))
        self.assertEqual(CountedDay.objects.count(), 2)


@tag("pooled")
class JobTests(RaceTestCase):
    def test_a_second_one_at_the_same_time_leaves_it_to_the_first(self) -> None:
        with leases.try_acquire("daily figures") as lease:
            self.assertTrue(lease)
            self.assertEqual(self.together(tasks.update_daily_figures), [0])
            self.assertFalse(CountedDay.objects.exists())
        self.assertEqual(tasks.update_daily_figures(), 1)

    def test_one_that_lost_its_lease_counts_no_further(self) -> None:
        missing = jobs.missing_days

        def taken_over() -> Iterator[Any]:
            Lease.objects.update(holder="another")
            return missing()

        with patch.object(jobs, "missing_days", taken_over), self.assertLogs("apps.core.leases", "WARNING"):
            self.assertEqual(tasks.update_daily_figures(), 0)
        self.assertFalse(CountedDay.objects.exists())


class CountingDuringBusinessTests(BusinessTestCase):
    """The roll-up is counted, and audited, while people buy, redeem and ask for refunds."""

    def audits_during_business(self, broken: Any = None) -> list[set[str]]:
        """What each of some audits finds; with `broken` in place of the transactions of counting."""
        self.type = make_type(max_uses=1000)
        vouchers = list(self.buy(3).vouchers)
        rebuild_figures()
        turns = cycle(vouchers[:2])

        def look() -> set[str]:
            with snapshot():
                return set(broken_rules("daily_figures", "figures_shown", "active_days"))

        return self.looks_during_business(
            look,
            lambda: self.redeem(next(turns)),
            lambda: self.ask(self.buy(2)),
            broken=broken,
        )

    def test_every_look_is_at_figures_that_are_right(self) -> None:
        self.assertFalse(any(broken := self.audits_during_business()), broken)
        count_until_now()
        self.assertEqual(broken_rules(), {})

    def test_counting_that_is_no_transaction_is_caught(self) -> None:
        self.assertTrue(any(self.audits_during_business(broken=not_locked)))
