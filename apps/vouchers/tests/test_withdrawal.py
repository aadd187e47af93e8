"""Withdrawing a type: all that could be redeemed is held, once, whatever is redeemed or issued meanwhile."""

import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from unittest import skipUnless
from unittest.mock import patch

from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone

from apps.users.tests.factories import make_staff, make_user
from apps.vouchers.errors import VoucherTypeNotFound
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.services import batches, withdrawal
from apps.vouchers.states import Hold
from tests.support.cases import ApiTestCase, RaceTestCase

from .factories import held, make_type, make_voucher


class WithdrawTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.type = make_type(max_uses=2)
        of = partial(make_voucher, owner=self.owner, voucher_type=self.type)
        self.unused = of()
        self.begun = of(uses_remaining=1)
        self.used_up = of(uses_remaining=0)
        self.expired = of(expiry_date=timezone.now() - timedelta(hours=1))
        self.voided = of(**held(Hold.VOIDED))
        self.suspended = of(**held(Hold.SUSPENDED))
        self.other = make_voucher(owner=self.owner)

    def withdraw(self, **options):
        return withdrawal.withdraw_type(voucher_type=self.type, reason="Closed", **options)

    def holds(self):
        names = ("unused", "begun", "used_up", "expired", "voided", "suspended", "other")
        return {name: Voucher.objects.get(pk=getattr(self, name).pk).holds for name in names}

    def test_what_could_be_redeemed_is_held_and_the_rest_stays(self):
        self.assertEqual(self.withdraw(), 3)
        self.type.refresh_from_db()
        self.assertFalse(self.type.is_active)
        self.assertEqual(
            self.holds(),
            {
                "unused": "withdrawn",
                "begun": "withdrawn",
                "used_up": "",
                "expired": "",
                "voided": "voided",
                "suspended": "withdrawn suspended",
                "other": "",
            },
        )
        refused = self.signed_in(self.owner).post("/api/vouchers/redeem/", {"code": self.unused.code})
        self.assertEqual(self.assertProblem(refused, 409, "voucher_inactive")["reason"], "withdrawn")

    def test_it_is_told_in_the_history_with_who_and_why(self):
        staff = make_staff()
        self.withdraw(actor=staff)
        events = VoucherEvent.objects.filter(voucher=self.unused).values_list(
            "kind", "hold", "actor", "reason"
        )
        self.assertEqual(list(events), [("issued", "", None, ""), ("held", "withdrawn", staff.pk, "Closed")])

    def test_that_the_type_went_off_sale_is_recorded_once_with_who_and_why(self):
        staff, kind = make_staff(), make_type()
        for _ in range(2):
            with self.subTest():
                withdrawal.withdraw_type(voucher_type=kind, reason="Closed", actor=staff)
                entry = LogEntry.objects.get(content_type__model="vouchertype")
                self.assertEqual((entry.user, entry.object_id), (staff, str(kind.pk)))
                self.assertEqual(entry.get_change_message(), "Withdrawn: Closed")
        with self.assertLogs("apps.vouchers", "WARNING") as logged:
            withdrawal.withdraw_type(voucher_type=make_type(), reason="Closed")
        self.assertIn("off sale by nobody named", logged.output[0])

    def test_doing_it_again_changes_nothing_and_finds_what_came_later(self):
        self.withdraw()
        before = VoucherEvent.objects.count()
        self.assertEqual((self.withdraw(), VoucherEvent.objects.count()), (0, before))
        make_voucher(owner=self.owner, voucher_type=self.type)  # paid for after the withdrawal
        self.assertEqual(self.withdraw(), 1)

    def test_chunks_miss_none(self):
        progress: list[int] = []
        self.assertEqual(self.withdraw(chunk=2, on_progress=progress.append), 3)
        self.assertEqual(progress, [2, 3])

    def test_stopped_in_the_middle_it_goes_on(self):
        def stop(done):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.withdraw(chunk=1, on_progress=stop)
        self.assertEqual(Voucher.objects.filter(holds__contains="withdrawn").count(), 1)
        self.assertEqual(self.withdraw(chunk=1), 2)

    def test_a_release_ends_this_hold_and_no_other(self):
        before = self.holds()
        self.withdraw()
        self.assertEqual(withdrawal.release_type(voucher_type=self.type, reason="Open again", chunk=2), 3)
        self.assertEqual(self.holds(), before)
        self.assertEqual(withdrawal.release_type(voucher_type=self.type, reason="Open again"), 0)
        self.type.refresh_from_db()
        self.assertFalse(self.type.is_active)
        api = self.signed_in(self.owner)
        self.assertEqual(api.post("/api/vouchers/redeem/", {"code": self.unused.code}).status_code, 200)

    def test_what_expired_while_it_was_held_is_let_go_too(self):
        self.withdraw()
        Voucher.objects.filter(pk=self.unused.pk).update(expiry_date=timezone.now() - timedelta(hours=1))
        self.assertEqual(withdrawal.release_type(voucher_type=self.type, reason="Open again"), 3)

    def test_the_counts_put_each_voucher_in_one_place(self):
        Voucher.objects.filter(pk=self.begun.pk).update(**held(Hold.REFUND_PENDING))
        make_voucher(owner=self.owner, voucher_type=self.type, **held(Hold.REFUNDED, Hold.WITHDRAWN))
        with self.assertQueries(1):
            left = withdrawal.summarize(self.type, now=timezone.now())
        self.assertEqual(
            left, withdrawal.WithdrawalSummary(unused=2, begun=1, used_up=1, expired=1, void=2, withdrawn=1)
        )
        empty = withdrawal.summarize(make_type(), now=timezone.now())
        self.assertEqual(empty, withdrawal.WithdrawalSummary(0, 0, 0, 0, 0, 0))


class HoldOrRedeemTests(RaceTestCase):
    def race(self, delay=0.0):
        """One round: how many redeemed the one use of a voucher whose type was withdrawn, and what holds it."""
        owner, kind = make_user(), make_type()
        voucher = make_voucher(owner=owner, voucher_type=kind)
        api = self.signed_in(owner)

        def redeem():
            time.sleep(delay)
            return api.post("/api/vouchers/redeem/", {"code": voucher.code})

        _, *answers = self.together(
            lambda: withdrawal.withdraw_type(voucher_type=kind, reason="Closed"), *[redeem] * 4
        )
        statuses = [answer.status_code for answer in answers]
        self.assertLessEqual(set(statuses), {200, 409})
        voucher.refresh_from_db()
        return statuses.count(200), voucher.uses_remaining, voucher.holds

    right = ((1, 0, ""), (0, 1, "withdrawn"))

    def test_a_voucher_is_redeemed_or_held_and_never_both_or_neither(self):
        for round_no in range(self.rounds):
            with self.subTest(round=round_no):
                self.assertIn(self.race(), self.right)

    @skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
    def test_the_same_race_catches_a_hold_that_does_not_lock(self):
        def unlocked(ids):
            vouchers = list(Voucher.objects.filter(pk__in=ids))
            time.sleep(0.3)
            return vouchers

        with patch.object(withdrawal, "lock_vouchers", unlocked):
            self.assertCaught(lambda: self.race(delay=0.1), lambda outcome: outcome not in self.right)


class WithdrawOrIssueTests(RaceTestCase):
    def race(self):
        """One round: how many of a withdrawn type can be redeemed, that was being issued in bulk meanwhile."""
        kind = make_type()
        batch = batches.get_or_create_batch(voucher_type=kind, owner=make_user(), quantity=40)

        def issue():
            with suppress(VoucherTypeNotFound):
                batches.issue_remaining(batch=batch, chunk=5)

        self.together(issue, lambda: withdrawal.withdraw_type(voucher_type=kind, reason="Closed"))
        return Voucher.objects.filter(voucher_type=kind, is_active=True).count()

    def test_nothing_issued_escapes(self):
        for round_no in range(self.rounds):
            with self.subTest(round=round_no):
                self.assertEqual(self.race(), 0)

    @skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
    def test_the_same_race_catches_an_issue_that_does_not_look_at_the_type(self):
        with patch.object(batches, "_check", lambda voucher_type, owner: None):
            self.assertCaught(self.race, bool, rounds=4)
