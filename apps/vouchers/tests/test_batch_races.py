"""`manage.py issue_vouchers` run at once, or killed in the middle: exactly as many vouchers as asked for."""

import os
import signal
import subprocess
import sys
import time
from unittest.mock import patch
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.users.tests.factories import make_user
from apps.vouchers.models import Batch, Voucher, VoucherEvent
from apps.vouchers.services import batches
from apps.vouchers.services.issuance import Terms, issue_vouchers
from tests.support.cases import CommittingTestCase, RaceTestCase

from .batch_command import BatchCommandTestCase
from .factories import make_type


def issue_by_counting_first(batch_id, at_most):
    """The broken twin: counts and issues without a lock."""
    batch = Batch.objects.get(pk=batch_id)
    issued = Voucher.objects.filter(batch=batch).count()
    more = min(batch.quantity - issued, at_most)
    time.sleep(0.005)
    if more > 0:
        terms = Terms("Exam", batch.service_type, batch.face_value, batch.currency, 1, 1)
        issue_vouchers(
            voucher_type_id=batch.voucher_type_id,
            owner_id=batch.owner_id,
            quantity=more,
            terms=terms,
            issued_at=timezone.now(),
            batch_id=batch.pk,
        )
    return more, issued + more


class AtOnceTests(RaceTestCase):
    QUANTITY = 40

    def race(self):
        """One round: how many vouchers four runs with one label have made, and how many batches."""
        kind, owner, label = make_type(), make_user(), f"race {time.monotonic_ns()}"

        def run():
            batch = batches.get_or_create_batch(
                voucher_type=kind, owner=owner, quantity=self.QUANTITY, label=label
            )
            return batches.issue_remaining(batch=batch, chunk=7)

        numbers = self.together(*[run] * 4)
        mine = Batch.objects.filter(label=label)
        return sum(numbers), Voucher.objects.filter(batch__in=mine).count(), mine.count()

    def test_runs_at_the_same_instant_make_exactly_as_many_as_asked_for(self):
        for round_no in range(self.rounds):
            with self.subTest(round=round_no):
                self.assertEqual(self.race(), (self.QUANTITY, self.QUANTITY, 1))

    def test_the_same_race_catches_a_run_that_does_not_lock(self):
        with patch.object(batches, "_issue_chunk", issue_by_counting_first):
            self.assertCaught(self.race, lambda outcome: outcome[1] > self.QUANTITY)


class KilledTests(BatchCommandTestCase, CommittingTestCase):
    COUNT = 6 * batches.CHUNK

    def setUp(self):
        super().setUp()
        self.type, self.owner = make_type(), make_user()

    def test_killed_in_the_middle_it_goes_on_to_exactly_as_many(self):
        arguments = ["--type", self.type.name, "--owner", self.owner.email, "--count", str(self.COUNT)]
        arguments += ["--label", "killed", "--csv", str(self.file)]
        process = subprocess.Popen(
            [sys.executable, "manage.py", "issue_vouchers", *arguments],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_URL": url_of_this_database()},
            stdout=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        while not Voucher.objects.exists():
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        self.assertEqual(process.wait(60), -signal.SIGKILL)
        there = Voucher.objects.count()
        self.assertTrue(0 < there < self.COUNT, there)
        self.assertEqual(there % batches.CHUNK, 0)
        self.assertFalse(self.file.exists())
        said = self.issue(count=self.COUNT, label="killed", csv=str(self.file))
        self.assertIn(f"Issued {self.COUNT - there} vouchers; {there} were there before.", said)
        self.assertEqual(Voucher.objects.count(), self.COUNT)
        self.assertEqual(VoucherEvent.objects.count(), self.COUNT)
        self.assertEqual(len({row[0] for row in self.rows()}), self.COUNT + 1)


def url_of_this_database():
    """DATABASE_URL of the database that the test uses, for a process of its own."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
