"""Leases: one holder at a time, also where processes are killed, hang, or are paused."""

import threading
import time
from datetime import timedelta
from unittest.mock import patch

from django.db import OperationalError
from django.test import tag
from django.utils import timezone

from apps.core import leases
from apps.core.models import Lease
from tests.support.cases import ApiTestCase, RaceTestCase

NAME = "sweeping the yard"


def run_out() -> None:
    """The lease has come to its end, as where its holder was killed or hangs."""
    Lease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


class LeaseTests(ApiTestCase):
    def test_a_second_one_gets_none_until_the_first_has_ended(self):
        for _ in range(2):
            with leases.try_acquire(NAME) as first, leases.try_acquire(NAME) as second:
                self.assertEqual((first is None, second is None), (False, True))
                with leases.try_acquire("another work") as other:
                    self.assertIsNotNone(other)
        self.assertFalse(Lease.objects.exists())  # nothing stays of names that come once

    def test_it_is_free_again_after_an_error(self):
        with self.assertRaises(ZeroDivisionError), leases.try_acquire(NAME):
            raise ZeroDivisionError
        with leases.try_acquire(NAME) as again:
            self.assertIsNotNone(again)

    def test_one_whose_holder_was_killed_runs_out(self):
        with leases.try_acquire(NAME):
            until = Lease.objects.get(name=NAME).expires_at - timezone.now()
            self.assertAlmostEqual(until.total_seconds(), leases.DEFAULT_LENGTH.total_seconds(), delta=60)
            run_out()
            with leases.try_acquire(NAME) as next_one:
                self.assertIsNotNone(next_one)

    def test_renewed_it_lasts(self):
        with leases.try_acquire(NAME) as lease:
            assert lease
            Lease.objects.update(expires_at=timezone.now() + timedelta(seconds=30))
            lease.renew()
            self.assertGreater(
                Lease.objects.get(name=NAME).expires_at, timezone.now() + leases.DEFAULT_LENGTH / 2
            )

    def test_who_has_lost_it_stops_and_takes_it_from_nobody(self):
        for lose in (
            run_out,
            lambda: Lease.objects.update(holder="another"),
            lambda: Lease.objects.all().delete(),
        ):
            with leases.try_acquire(NAME) as lease, self.assertLogs("apps.core.leases", "WARNING"):
                assert lease
                lose()
                with self.assertRaises(leases.LeaseLost):
                    lease.renew()
            Lease.objects.all().delete()

    def test_the_end_of_who_has_lost_it_frees_nothing_of_the_next(self):
        with leases.try_acquire(NAME):
            run_out()
            second = leases.try_acquire(NAME)
            self.assertIsNotNone(second.__enter__())
        with leases.try_acquire(NAME) as third:
            self.assertIsNone(third)
        second.__exit__(None, None, None)

    def test_a_database_that_is_away_at_the_end_hides_no_result(self):
        with self.assertLogs("apps.core.leases", "WARNING") as logged, leases.try_acquire(NAME) as lease:
            away = patch.object(Lease.objects, "filter", side_effect=OperationalError)
            self.addCleanup(away.stop)
            away.start()
        away.stop()
        assert lease
        self.assertIn("it runs out", logged.output[0])


@tag("pooled")
class AcquiringTogether(RaceTestCase):
    def race(self):
        """How many of eight that come at once get the lease; nobody gives it up before all have tried."""
        tried = threading.Barrier(8)

        def acquire():
            with leases.try_acquire(NAME) as lease:
                tried.wait(self.patience)
                return lease is not None

        return sum(self.together(*[acquire] * 8))

    def test_one_gets_it_the_first_time_and_every_other(self):
        for round_no in range(self.rounds):
            if round_no % 2 == 0:
                Lease.objects.all().delete()
            self.assertEqual(self.race(), 1, f"round {round_no}")

    def test_the_same_race_catches_a_lease_that_is_read_first(self):
        def read_first(lease):
            row, _ = Lease.objects.get_or_create(name=NAME, defaults={"expires_at": leases.NEVER})
            is_free = row.expires_at <= timezone.now()
            time.sleep(0.005)
            if is_free:
                Lease.objects.update(holder=lease.holder, expires_at=timezone.now() + leases.DEFAULT_LENGTH)
            return is_free

        with patch.object(leases, "_acquire", read_first):
            self.assertCaught(self.race, lambda number: number != 1)
