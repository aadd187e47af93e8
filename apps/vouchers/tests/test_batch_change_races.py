"""A batch is held or voided while its vouchers are redeemed, and two processes are at one operation."""

import time
from collections import Counter
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection

from apps.core import bulk_operations, leases
from apps.core.bulk_operations import chunks
from apps.core.models import BulkOperation
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.services import batch_changes
from apps.vouchers.services.batch_changes import BatchChange
from tests.support.books import broken_rules

from .factories import batch_of
from .races import CHANGING, VoucherRaceTestCase, used_between

on_postgresql = skipUnless(
    connection.vendor == "postgresql", "SQLite runs whole transactions one after the other"
)


def read_only(voucher_ids):
    """A broken twin of `lock_vouchers`: what it read is old when it is judged, as all uses were taken meanwhile."""
    vouchers = list(Voucher.objects.filter(pk__in=list(voucher_ids)).order_by("pk"))
    deadline = time.monotonic() + 5
    while Voucher.objects.filter(pk__in=voucher_ids, uses_remaining__gt=0).exists():
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return vouchers


class ChangeOrRedeem(VoucherRaceTestCase):
    """The batch of a voucher is changed while four redeem that voucher until it has no use left."""

    def race(self, change, uses=1):
        """One round: the outcome that the operation counted, if it fits what became of the voucher."""
        [voucher] = self.vouchers(1, max_uses=uses)
        operation = batch_changes.start(
            change, batch_of(voucher), actor=self.staff, reason="Lost", in_background=False
        )
        answers, last = self.while_redeemed(voucher, lambda: bulk_operations.run(operation.pk))
        operation.refresh_from_db()
        voucher.refresh_from_db()
        redeemed = [word for word, _ in answers].count("redeemed") + last.count("redeemed")
        strange = (
            {word for word, _ in answers} - {"redeemed", "voucher_used_up", "voucher_inactive"} - CHANGING
        )
        used_up = operation.counts == {"changed": 0, "used_up": 1} and redeemed == uses and voucher.is_active
        changed = operation.counts == {"changed": 1} and redeemed < uses and not voucher.is_active
        right = not strange and (used_up or changed) and voucher.usages.count() == redeemed
        return right, operation.counts

    def test_a_voucher_is_redeemed_or_held_and_counted_so(self):
        for change in (BatchChange.HOLD, BatchChange.VOID):
            outcomes = [self.race(change) for _ in range(self.rounds)]
            self.assertEqual({right for right, _ in outcomes}, {True}, outcomes)
        self.assertEqual(broken_rules(), {})

    @on_postgresql
    def test_the_same_race_catches_vouchers_that_are_judged_before_the_lock(self):
        with patch.object(batch_changes, "lock_vouchers", read_only):
            self.assertCaught(
                lambda: self.race(BatchChange.VOID, uses=40),
                lambda outcome: not outcome[0],
                rounds=self.rounds,
            )

    def test_nothing_is_redeemed_after_a_hold(self):
        [voucher] = self.vouchers(1, max_uses=1000)
        operation = batch_changes.start(
            BatchChange.HOLD, batch_of(voucher), actor=self.staff, reason="Lost", in_background=False
        )
        _, last = self.while_redeemed(voucher, lambda: bulk_operations.run(operation.pk))
        held_at = VoucherEvent.objects.get(voucher=voucher, kind="suspended").at
        self.assertEqual(set(last), {"voucher_inactive"})
        self.assertEqual(used_between(voucher, held_at), 0)


class TwoAtOnce(VoucherRaceTestCase):
    """Two processes carry out one operation, as when a worker was thought dead and was not."""

    def race(self):
        """One round: how many events each voucher has, and what the operation counted."""
        vouchers = self.vouchers(12)
        operation = batch_changes.start(
            BatchChange.HOLD, batch_of(vouchers[0]), actor=self.staff, reason="Lost", in_background=False
        )
        self.together(*[lambda: bulk_operations.run(operation.pk)] * 2)
        operation.refresh_from_db()
        events = VoucherEvent.objects.filter(voucher__batch=vouchers[0].batch, kind="suspended")
        numbers = Counter(Counter(events.values_list("voucher", flat=True)).values())
        return dict(numbers), operation.counts, operation.handled, operation.status

    RIGHT = ({1: 12}, {"changed": 12}, 12, "completed")

    def everybody(self):
        """Without the lock by which a second process leaves an operation alone: the row's lock has to do."""
        return patch.object(leases, "try_acquire", always)

    def test_no_voucher_is_handled_twice(self):
        with patch.object(batch_changes, "CHUNK", 2):
            self.assertEqual(self.race(), self.RIGHT)
            with self.everybody():
                for _ in range(self.rounds):
                    self.assertEqual(self.race(), self.RIGHT)

    @on_postgresql
    def test_the_same_race_catches_an_operation_that_is_not_locked(self):
        with (
            patch.object(batch_changes, "CHUNK", 2),
            patch.object(chunks, "lock_open", unlocked),
            self.everybody(),
        ):
            self.assertCaught(self.race, lambda outcome: outcome != self.RIGHT, rounds=self.rounds)


def always(name, length):
    """A twin of `try_acquire` that lets everybody in."""
    return AlwaysMine()


class AlwaysMine:
    def __enter__(self):
        return self

    def renew(self):
        pass

    def __exit__(self, *error):
        return None


def unlocked(operation_id):
    """A broken twin of `lock_open`."""
    operation = BulkOperation.objects.get(pk=operation_id)
    if not operation.is_open:
        raise chunks.OperationStopped
    time.sleep(0.02)
    return operation
