"""The number of vouchers that an owner's list tells is that of the rows, also where most of it is kept."""

from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

import time_machine
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.analytics.models import CountedOwner, FiguresState
from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import jobs, owners
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers.models import Batch
from apps.vouchers.services import batch_changes, reassignment
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules, rebuild_figures
from tests.support.cases import ApiTestCase, RaceTestCase

from .factories import make_batch, reassign_batch

NOW = datetime(2025, 12, 5, 9, 30, tzinfo=UTC)


class OwnedVouchersTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer, self.other, self.staff = make_customer(), make_other_customer(), make_staff()
        self.type = make_type()
        self.clock = self.enterContext(time_machine.travel(NOW, tick=False))
        self.users = (self.customer, self.other)
        self.enterContext(patch.object(owners, "MOST_VOUCHERS", 2))

    def shown(self, user: User) -> int:
        """The number that the first page tells. All others of the answer come from the rows."""
        number: int = self.signed_in(user).get("/api/vouchers/my-vouchers/?page_size=1").json()["count"]
        return number

    def assertAllShown(self) -> None:
        for user in self.users:
            self.assertEqual(self.shown(user), user.vouchers.count())

    def kept(self) -> dict[int, int | None]:
        return dict(CountedOwner.objects.values_list("owner", "vouchers"))

    def batch(self, owner: User, quantity: int) -> Batch:
        batch = make_batch(owner=owner, voucher_type=self.type, quantity=quantity)[0].batch
        assert batch is not None
        return batch

    def counted_batch(self, quantity: int = 3) -> Batch:
        """A batch of the customer that was issued so long ago that it is counted, and the number is kept."""
        batch = self.batch(self.customer, quantity)
        self.clock.shift(timedelta(hours=1))
        rebuild_figures()
        self.assertEqual(self.kept(), {self.customer.pk: quantity})
        return batch

    def test_what_is_issued_before_and_after_the_counting_is_in_it(self) -> None:
        self.assertAllShown()
        self.counted_batch()
        self.assertAllShown()
        for minutes in (1, 5, 9, 60):
            self.batch(self.customer, 1)
            self.assertAllShown()
            self.clock.shift(timedelta(minutes=minutes))
            daily_figures.update()
            self.assertAllShown()
        self.assertEqual(self.kept()[self.customer.pk], self.customer.vouchers.count())
        self.assertEqual(broken_rules(), {})

    def test_the_number_that_is_kept_is_used_and_checked_by_the_audit_and_repaired_by_a_command(self) -> None:
        self.counted_batch()
        CountedOwner.objects.update(vouchers=F("vouchers") + 5)
        self.assertEqual(self.shown(self.customer), 8)
        self.assertEqual(broken_rules().keys(), {"owned_vouchers"})
        rebuild_figures()
        self.assertAllShown()
        self.assertEqual(broken_rules(), {})

    def test_what_changes_hands_is_in_the_number_of_its_owner(self) -> None:
        batch = self.counted_batch()
        for owner in (self.other, self.customer, self.other):
            reassign_batch(batch, to=owner, actor=self.staff)
            self.assertAllShown()
            self.clock.shift(timedelta(hours=1))
            daily_figures.update()
            self.assertAllShown()
            self.assertEqual(self.kept(), {owner.pk: 3})
        self.assertEqual(broken_rules(), {})

    def test_control_a_number_that_is_not_forgotten_is_wrong(self) -> None:
        batch = self.counted_batch()
        with patch.object(reassignment, "_listeners", []):
            reassign_batch(batch, to=self.other, actor=self.staff)
        self.batch(self.customer, 1)
        self.assertEqual((self.shown(self.customer), self.customer.vouchers.count()), (4, 1))
        self.assertIn("owned_vouchers", broken_rules())

    def test_a_job_of_the_version_before_which_keeps_no_number_does_no_harm(self) -> None:
        self.counted_batch()
        with patch.object(jobs, "count_owned_vouchers"):
            self.batch(self.customer, 1)
            self.clock.shift(timedelta(hours=1))
            daily_figures.update()
        self.assertAllShown()
        self.clock.shift(timedelta(hours=1))
        self.batch(self.customer, 1)
        daily_figures.update()
        self.assertAllShown()
        CountedOwner.objects.update(vouchers=None, vouchers_until=None)  # one that it found
        self.assertAllShown()
        daily_figures.update()
        self.assertEqual(self.kept(), {self.customer.pk: 4})

    def test_a_number_of_a_wrong_clock_is_not_used(self) -> None:
        self.counted_batch()
        CountedOwner.objects.update(vouchers_until=timezone.now() + timedelta(days=1), vouchers=1)
        self.assertAllShown()

    def test_without_a_roll_up_all_are_counted(self) -> None:
        self.counted_batch()
        FiguresState.objects.all().delete()
        CountedOwner.objects.all().delete()
        self.assertAllShown()


@skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
class ReassignmentRaceTests(RaceTestCase):
    """The vouchers of an owner change hands while the job is about to count that owner apart."""

    def race(self, *, has_roll_up: bool = True) -> list[tuple[int, int]]:
        """What each of the two is shown, and has."""
        users = make_customer(), make_other_customer()
        with time_machine.travel(timezone.now() - timedelta(hours=2), tick=False) as clock:
            if has_roll_up:
                rebuild_figures()
            clock.shift(timedelta(hours=1))
            make_batch(owner=users[0], voucher_type=make_type(), quantity=1)
            batch: Any = make_batch(owner=users[0], voucher_type=make_type(), quantity=3)[0].batch
        begun, counted = Event(), Event()
        real, staff = reassignment.reassign_vouchers, make_staff()

        def slowly(*arguments: Any, **options: Any) -> None:
            begun.set()
            counted.wait(1)  # in vain where the counting waits, as it should
            real(*arguments, **options)

        def count() -> None:
            begun.wait(self.patience)
            daily_figures.update()
            counted.set()

        with (
            patch.object(owners, "MOST_VOUCHERS", 2),
            patch.object(batch_changes, "reassign_vouchers", slowly),
        ):
            self.together(lambda: reassign_batch(batch, to=users[1], actor=staff), count)
        address = "/api/vouchers/my-vouchers/"
        return [(self.signed_in(user).get(address).json()["count"], user.vouchers.count()) for user in users]

    def test_the_number_is_that_of_the_owner_after_it(self) -> None:
        self.assertEqual(self.race(), [(1, 1), (3, 3)])
        self.assertEqual(broken_rules(), {})

    def test_also_where_the_counting_is_the_first(self) -> None:
        self.assertEqual(self.race(has_roll_up=False), [(1, 1), (3, 3)])
        self.assertEqual(broken_rules(), {})

    def test_control_who_does_not_wait_for_it_keeps_a_number_of_before(self) -> None:
        with patch.object(reassignment, "_listeners", []):
            self.assertEqual(self.race(), [(4, 1), (3, 3)])
