"""Figures with a roll-up are those without one, whatever happened before and since it was counted."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import skipUnless
from unittest.mock import patch
from zoneinfo import ZoneInfo

import time_machine
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from apps.analytics import selectors
from apps.analytics.models import CountedDay, CountedOwner, CountedVoucher, DailyFigures, FiguresState
from apps.analytics.periods import Period
from apps.analytics.selectors import reports
from apps.analytics.selectors.counted import counted_sums
from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import jobs, owners, voucher_notes
from apps.analytics.services.daily_figures.state import locked_state
from apps.payments.models import Refund
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers.models import UsageReversal
from apps.vouchers.services import reassignment
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .factories import fill_books, make_batch, make_purchase, reassign_batch
from .history import History

ZONES = ("America/New_York", "Asia/Kolkata", "Pacific/Auckland", "UTC")
CURRENCIES = ("USD", "EUR")
EDGES = ((10, 20), (10, 31), (11, 1), (11, 2), (11, 3), (11, 19))  # month ends; clocks go back on 2 November
FIRST, LAST = date(2025, 10, 18), date(2025, 12, 5)
NOW = datetime(2025, 12, 5, 9, 30, tzinfo=UTC)


class Undo(Exception):
    """Ends a transaction without a trace."""


def without_a_roll_up(call: Callable[[], Any]) -> Any:
    """What `call` returns where nothing has been counted."""
    results = []
    try:
        with transaction.atomic():
            FiguresState.objects.all().delete()
            results.append(call())
            raise Undo
    except Undo:
        return results[0]


def rebuild(period: Period | None = None) -> list[date]:
    return list(daily_figures.rebuild(period))


class RollUpTestCase(ApiTestCase):
    """Somebody buys, redeems and returns; `seen` is all that there is to see of it."""

    maxDiff = None

    def setUp(self) -> None:
        super().setUp()
        self.customer, self.staff = make_customer(), make_staff()
        self.users = [self.customer, make_other_customer(), self.staff]

    def seen(self) -> dict[str, Any]:
        """The figures of several periods for everybody, by the selectors that answer all pages."""
        now = timezone.now()
        seen: dict[str, Any] = {"active": selectors.vouchers_active(now)}
        for currency in CURRENCIES:
            seen[f"owed in {currency}"] = selectors.obligations(now=now, currency=currency)
        for period in (Period(FIRST, LAST), Period(LAST, LAST), Period(FIRST, LAST + timedelta(days=400))):
            for each in selectors.breakage_by_day(period=period, now=now):
                seen[f"expired from {period.first} to {period.last}, {each.date}, {each.currency}"] = (
                    each.amount
                )
        for period, currency, owner in (
            (Period(FIRST, LAST), "USD", None),
            (Period(FIRST, LAST), "EUR", self.customer),
            (Period(date(2025, 11, 2), date(2025, 11, 2)), "USD", None),
        ):
            report = selectors.figures_of(period=period, now=now, currency=currency, owner=owner)
            parts = {
                "totals": report.totals,
                **{str(each.date): each.figures for each in report.by_day},
                **{each.voucher_type.name: each.figures for each in report.by_type},
            }
            for part, figures in parts.items():
                for name, value in vars(figures).items():
                    if value:
                        seen[f"{period.first}, {owner}, {part}: {name}"] = value
        for first, last in (
            (FIRST, LAST),
            (LAST, LAST),
            (date(2025, 11, 2), date(2025, 11, 2)),
            (date(2025, 10, 20), date(2025, 11, 18)),
            (date(2025, 11, 20), date(2025, 12, 4)),
            (date(2025, 1, 1), date(2026, 1, 1)),
        ):
            seen[f"users from {first} to {last}"] = selectors.user_figures(Period(first, last))
        return seen

    def assertSameAsTheRows(self, step: str = "") -> None:
        with_it, without = self.seen(), without_a_roll_up(self.seen)
        differences = {
            key: (with_it.get(key), without.get(key))
            for key in with_it.keys() | without.keys()
            if with_it.get(key) != without.get(key)
        }
        self.assertEqual(differences, {}, step)


class RollUpTests(RollUpTestCase):
    def test_figures_are_the_same_with_a_roll_up_in_any_time_zone(self) -> None:
        for seed, name in enumerate(ZONES):
            chance, zone = random.Random(seed), ZoneInfo(name)
            moments = [
                datetime(2025, month, day, tzinfo=zone).astimezone(UTC) + timedelta(microseconds=off)
                for month, day in EDGES
                for off in (-1, 0)
            ]
            with self.subTest(name), override_settings(TIME_ZONE=name), time_machine.travel(NOW, tick=False):
                fill_books(chance, users=self.users, moments=moments, now=NOW, purchases=12)
                for user in self.users:
                    User.objects.filter(pk=user.pk).update(last_login=chance.choice(moments))
                rebuild()
                self.assertTrue(DailyFigures.objects.exists())
                self.assertSameAsTheRows()

    def test_an_owner_of_much_is_counted_apart(self) -> None:
        with time_machine.travel(NOW, tick=False):
            moments = [NOW - timedelta(days=days) for days in range(0, 40, 3)]
            fill_books(random.Random(3), users=self.users, moments=moments, now=NOW, purchases=15)
            self.count_apart(self.customer)
            self.assertSameAsTheRows()

    def test_who_looks_while_it_is_counted_sees_one_version_of_it(self) -> None:
        def look() -> Any:
            return selectors.figures_of(
                period=Period(LAST, LAST), now=timezone.now(), currency="USD", owner=self.customer
            )

        def count_and_read(*arguments: Any, **options: Any) -> Any:
            daily_figures.update()
            return counted_sums(*arguments, **options)

        with time_machine.travel(NOW, tick=False) as clock:
            make_purchase(user=self.customer, at=NOW - timedelta(hours=1))
            self.count_apart(self.customer)
            make_purchase(user=self.customer, at=NOW)
            clock.shift(timedelta(hours=1))
            right = without_a_roll_up(look)
            self.assertEqual(right.totals.purchases, 2)
            with patch.object(reports, "counted_sums", count_and_read):
                self.assertEqual(look(), right)

    def count_apart(self, owner: User) -> None:
        rebuild()
        owners.count_owners([owner.pk])
        self.assertTrue(CountedOwner.objects.get(owner=owner).daily_figures.exists())

    def test_a_large_owner_is_noticed(self) -> None:
        voucher_type = make_type()
        with time_machine.travel(NOW, tick=False):
            rebuild()
            make_batch(owner=self.customer, voucher_type=voucher_type, quantity=owners.MOST_VOUCHERS)
            daily_figures.update()
            self.assertFalse(CountedOwner.objects.exists())
            make_purchase(user=self.customer, voucher_type=voucher_type, at=NOW)
            daily_figures.update()
            self.assertEqual(CountedOwner.objects.get().owner_id, self.customer.pk)
            self.assertSameAsTheRows()

    def test_owners_that_were_large_before_there_was_a_roll_up_are_noticed(self) -> None:
        with patch.object(owners, "MOST_VOUCHERS", 2), patch.object(jobs, "DAYS_PER_RUN", 3):
            with time_machine.travel(NOW - timedelta(days=5), tick=False):
                make_batch(owner=self.customer, voucher_type=make_type(), quantity=3)
            with time_machine.travel(NOW, tick=False):
                self.assertEqual(daily_figures.update(), 3)
                self.assertFalse(CountedOwner.objects.exists())
                self.assertEqual(daily_figures.update(), 3)
                self.assertEqual(CountedOwner.objects.get().owner_id, self.customer.pk)
                self.assertSameAsTheRows()

    def reassign_a_batch(self) -> tuple[User, User]:
        """The vouchers of an owner who is counted apart go to another; the two."""
        customer, other = self.users[:2]
        batch: Any = make_batch(owner=customer, voucher_type=make_type(), quantity=3)[0].batch
        self.count_apart(customer)
        reassign_batch(batch, to=other, actor=self.staff)
        return customer, other

    def test_vouchers_that_change_hands_are_counted_with_their_owner_at_once_and_later(self) -> None:
        with patch.object(owners, "MOST_VOUCHERS", 2), time_machine.travel(NOW, tick=False):
            _, other = self.reassign_a_batch()
            self.assertSameAsTheRows("at once")
            self.assertEqual(broken_rules(), {})
            daily_figures.update()
            self.assertEqual(CountedOwner.objects.get().owner_id, other.pk)
            self.assertSameAsTheRows("counted")
            self.assertEqual(broken_rules(), {})

    def test_control_who_is_not_forgotten_is_counted_wrongly(self) -> None:
        with patch.object(reassignment, "_listeners", []), time_machine.travel(NOW, tick=False):
            self.reassign_a_batch()
            self.assertEqual(broken_rules().keys(), {"daily_figures"})

    def test_a_day_that_is_missing_is_counted_from_the_rows(self) -> None:
        with time_machine.travel(NOW, tick=False):
            moments = [NOW - timedelta(days=days) for days in range(0, 40, 3)]
            fill_books(random.Random(4), users=self.users, moments=moments, now=NOW, purchases=15)
            self.count_apart(self.customer)
            for day in (date(2025, 11, 2), date(2025, 11, 20), date(2025, 12, 5)):
                CountedDay.objects.filter(day=day).delete()
                self.assertSameAsTheRows(str(day))
            self.assertEqual(daily_figures.update(), 3)
            self.assertEqual(CountedDay.objects.filter(day=date(2025, 11, 20)).count(), 1)
            self.assertSameAsTheRows()
            self.assertEqual(daily_figures.update(), 0)

    def test_many_that_changed_are_noted_in_portions(self) -> None:
        with time_machine.travel(NOW, tick=False) as clock, patch.object(voucher_notes, "PORTION", 2):
            rebuild()
            clock.shift(timedelta(hours=1))
            make_batch(owner=self.customer, voucher_type=make_type(), quantity=5)
            self.assertEqual(
                [len(portion) for portion in voucher_notes.changed_notes(timezone.now(), timezone.now())],
                [2, 2, 1],
            )
            daily_figures.update()
            self.assertEqual(CountedVoucher.objects.count(), 5)
            self.assertSameAsTheRows()

    @skipUnless(connection.vendor == "postgresql", "SQLite has no such limits")
    def test_no_limit_of_requests_ends_a_counting(self) -> None:
        limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        with connection.cursor() as cursor:
            for limit in limits:
                cursor.execute(f"SET LOCAL {limit} = '10s'")  # as in use; tests have none of the last
            with locked_state():
                for limit in limits:
                    cursor.execute(f"SHOW {limit}")
                    self.assertEqual(cursor.fetchone(), ("0",), limit)

    def test_a_clock_that_was_wrong_leaves_nothing_out(self) -> None:
        with time_machine.travel(NOW - timedelta(hours=1), tick=False):
            make_purchase(user=self.customer, at=timezone.now())
            rebuild()
        with time_machine.travel(NOW + timedelta(days=1), tick=False):
            daily_figures.update()
        with time_machine.travel(NOW, tick=False) as clock:
            make_purchase(user=self.customer, at=timezone.now())
            self.assertSameAsTheRows("before a clock that is right has counted")
            clock.shift(timedelta(minutes=5))
            daily_figures.update()
            self.assertSameAsTheRows("after it")
            self.assertLess(FiguresState.objects.get().counted_until, timezone.now())

    def test_days_are_those_of_the_time_zone_of_today(self) -> None:
        with time_machine.travel(NOW, tick=False):
            make_purchase(user=self.customer, at=datetime(2025, 11, 2, 3, tzinfo=UTC))
            rebuild()
            with override_settings(TIME_ZONE="America/New_York"):
                self.assertSameAsTheRows()
                daily_figures.update()
                self.assertSameAsTheRows()
                self.assertEqual(DailyFigures.objects.get().day_id, date(2025, 11, 1))

    def test_rebuilding_some_days_leaves_the_others(self) -> None:
        with time_machine.travel(NOW, tick=False):
            moments = [NOW - timedelta(days=days) for days in range(0, 40, 3)]
            fill_books(random.Random(5), users=self.users, moments=moments, now=NOW, purchases=15)
            self.count_apart(self.customer)
            DailyFigures.objects.update(revenue=1, vouchers_active=7)
            days = rebuild(Period(date(2025, 11, 1), date(2025, 11, 9)))
            self.assertEqual((days[0], days[-1], len(days)), (date(2025, 11, 9), date(2025, 11, 1), 9))
            earlier_days = DailyFigures.objects.filter(day__lt=date(2025, 11, 1))
            self.assertEqual({row.vouchers_active for row in earlier_days}, {7})
            rebuild()
            self.assertSameAsTheRows()


class LateEventTests(RollUpTestCase):
    """The roll-up is counted now and then, and what happens between is added to it."""

    def test_whatever_happens_between_the_figures_are_those_of_the_rows(self) -> None:
        with override_settings(TIME_ZONE="America/New_York"):
            self.live_through(random.Random(1), datetime(2025, 10, 31, 20, tzinfo=UTC))

    def live_through(self, chance: random.Random, at: datetime) -> None:
        with time_machine.travel(at, tick=False) as clock:
            history = History(chance, self.users, self.staff)
            steps = []
            while timezone.now() < NOW:
                clock.shift(timedelta(minutes=chance.choice((1, 7, 50, 60 * 9, 60 * 40))))
                steps.append(history.step())
                if len(steps) == 30:
                    rebuild()
                    owners.count_owners([self.customer.pk])
                elif chance.random() < 0.3:
                    daily_figures.update()
                    steps.append("count")
                if len(steps) > 25 and chance.random() < 0.15:
                    self.assertSameAsTheRows(f"{timezone.now()} {steps[-6:]}")
            self.assertTrue(UsageReversal.objects.exists() and Refund.objects.exists())
            daily_figures.update()
            self.assertSameAsTheRows("at the end")
