"""`manage.py change_batch`: says what it would do, does it once to each voucher, and goes on after an interruption."""

import io
from collections import Counter
from datetime import timedelta
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models import F
from django.utils import timezone
from post_office.models import Email

from apps.core import bulk_operations
from apps.core.models import BulkOperation
from apps.users import services as users
from apps.users.tests.factories import PASSWORD, make_staff, make_user
from apps.vouchers import services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.services import batch_changes, owner_notices
from apps.vouchers.services.batch_changes import BatchChange
from apps.vouchers.states import Hold
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .factories import batch_of, make_batch_vouchers

REDEEM = "/api/vouchers/redeem/"


class BatchChangeTestCase(ApiTestCase):
    """A batch of ten: four are as issued, and of each other state there is one."""

    def setUp(self):
        super().setUp()
        self.customer, self.staff, self.other = make_user(), make_staff(), make_user()
        self.vouchers = make_batch_vouchers(owner=self.customer, quantity=10, max_uses=2)
        self.batch = batch_of(self.vouchers[0])
        self.used, self.begun, self.void, self.refunded, self.single, self.expired = self.vouchers[4:]
        for voucher in (self.used, self.used, self.begun):
            services.redeem_voucher(code=voucher.code, user=self.customer)
        services.void_vouchers([self.void.pk], actor=self.staff, reason="Before")
        services.sync_money_holds({self.refunded.pk: {Hold.REFUNDED}}, reason="Before")
        services.suspend_vouchers([self.single.pk], actor=self.staff, reason="Before")
        past = {name: F(name) - timedelta(days=400) for name in ("purchase_date", "expiry_date")}
        Voucher.objects.filter(pk=self.expired.pk).update(**past)
        patcher = patch.object(batch_changes, "CHUNK", 3)
        patcher.start()
        self.addCleanup(patcher.stop)

    def change(self, *, apply=True, **options):
        """Run the command; what it said."""
        said = io.StringIO()
        defaults = {"batch": self.batch.label, "reason": "A carton was lost", "by": self.staff.email}
        call_command("change_batch", apply=apply, **{**defaults, **options}, stdout=said, stderr=said)
        return said.getvalue()

    def everything(self):
        return (
            list(Voucher.objects.order_by("pk").values()),
            list(VoucherEvent.objects.order_by("pk").values()),
        )

    def new_events(self, kind):
        """How many events of a kind each voucher has that this command wrote."""
        events = VoucherEvent.objects.filter(kind=kind, reason="A carton was lost", actor=self.staff)
        return Counter(events.values_list("voucher", flat=True))

    def holds(self):
        return {voucher.pk: voucher.holds for voucher in Voucher.objects.all()}


class HoldTests(BatchChangeTestCase):
    def test_without_apply_it_only_says_what_it_would_do(self):
        before = self.everything()
        for way in ("hold", "release", "void"):
            said = self.change(**{way: True}, apply=False)
            self.assertIn("10 of 10 issued", said)
            self.assertRegex(said, r"Left alone: used up +1\n")
            self.assertRegex(said, r"Left alone: void +1\n")
            self.assertIn("Nothing was changed", said)
        self.assertEqual(self.everything(), before)
        self.assertEqual(BulkOperation.objects.count(), 0)

    def test_it_holds_what_could_be_redeemed_and_counts_the_rest_apart(self):
        said = self.change(hold=True)
        for line in (
            r"Held +6\n",
            r"as wanted already +1\n",
            r"used up +1\n",
            r": void +1\n",
            r"refunded +1\n",
        ):
            self.assertRegex(said, line)
        changed = [*self.vouchers[:4], self.begun, self.expired]
        self.assertEqual(self.new_events("suspended"), {voucher.pk: 1 for voucher in changed})
        self.assertEqual({self.holds()[voucher.pk] for voucher in changed}, {"suspended"})
        self.assertEqual(self.holds()[self.used.pk], "")
        answer = self.signed_in(self.customer).post(REDEEM, {"code": self.vouchers[0].code})
        self.assertProblem(answer, 409, "voucher_inactive")
        operation = BulkOperation.objects.get()
        self.assertEqual(
            (operation.status, operation.actor, operation.handled), ("completed", self.staff, 10)
        )
        self.assertEqual(broken_rules("holds", "holds_by_history"), {})

    def test_the_owner_gets_one_mail_at_the_end_however_often_it_was_interrupted(self):
        Email.objects.all().delete()  # about those that were changed singly
        for change, subject in (
            (BatchChange.HOLD, "6 of your vouchers can't be used for now"),
            (BatchChange.RELEASE, "6 of your vouchers are released"),
            (BatchChange.VOID, "7 of your vouchers can't be used any more"),
            (BatchChange.VOID, None),
        ):
            with self.subTest(change, subject=subject), patch.object(owner_notices, "LISTED", 4):
                operation = batch_changes.start(
                    change, self.batch, actor=self.staff, reason="A carton was lost", in_background=False
                )
                while bulk_operations.run(operation.pk, budget=0):
                    self.assertFalse(Email.objects.exists())
                bulk_operations.run(operation.pk)
                operation.refresh_from_db()
                self.assertEqual(
                    (operation.status, operation.parameters), ("completed", {"batch": self.batch.pk})
                )
                if subject is None:
                    self.assertFalse(Email.objects.exists())
                    continue
                mail = Email.objects.get()
                self.assertEqual((mail.to, mail.subject), ([self.customer.email], subject))
                self.assertEqual(mail.message.count("····-"), 4)
                self.assertIn(f"… and {int(subject[0]) - 4} more.", mail.message)
                self.assertIn("Why: A carton was lost", mail.message)
                mail.delete()

    def test_a_second_run_changes_nothing_more(self):
        self.change(hold=True)
        before = self.everything()
        self.assertRegex(self.change(hold=True), r"Held +0\n")
        self.assertEqual(self.everything(), before)

    def test_the_dry_run_counts_as_the_change_does(self):
        for change in (BatchChange.HOLD, BatchChange.RELEASE, BatchChange.REASSIGN, BatchChange.VOID):
            owner = self.other if change == BatchChange.REASSIGN else None
            planned = batch_changes.plan(change, self.batch, new_owner=owner)
            operation = batch_changes.start(
                change, self.batch, actor=self.staff, reason="x", new_owner=owner, in_background=False
            )
            bulk_operations.run(operation.pk)
            operation.refresh_from_db()
            counts = {outcome.value: number for outcome, number in planned.counts.items()}
            self.assertEqual((change, {**dict.fromkeys(counts, 0), **operation.counts}), (change, counts))
            self.assertEqual((planned.issued, sum(counts.values())), (10, 10))

    def test_released_they_work_again_but_what_was_suspended_by_itself(self):
        before = self.holds()
        self.change(hold=True)
        said = self.change(release=True)
        self.assertRegex(said, r"Released +6\n")
        self.assertRegex(said, r"by themselves, not with the batch +1\n")
        self.assertEqual(self.holds(), before)
        self.assertEqual(self.holds()[self.single.pk], "suspended")
        answer = self.signed_in(self.customer).post(REDEEM, {"code": self.vouchers[0].code})
        self.assertEqual(answer.status_code, 200)

    def test_one_that_staff_suspended_after_the_batch_was_released_is_not_released_with_it(self):
        first = self.vouchers[0]
        self.change(hold=True)
        services.release_vouchers([first.pk], actor=self.staff, reason="x")
        services.suspend_vouchers([first.pk], actor=self.staff, reason="x")
        self.change(release=True)
        self.assertEqual((self.holds()[first.pk], self.holds()[self.vouchers[1].pk]), ("suspended", ""))

    def test_voided_is_for_good(self):
        self.assertRegex(self.change(void=True), r"Voided +7\n")
        self.assertEqual(self.holds()[self.single.pk], "voided suspended")
        self.assertRegex(self.change(release=True), r"Released +0\n")
        self.assertEqual(self.holds()[self.vouchers[0].pk], "voided")

    def test_what_is_wrong_is_said_and_nothing_changes(self):
        before = self.everything()
        for words, options in (
            ("There is no batch", {"batch": "Nothing"}),
            ("There is no batch", {"batch": str(10**30)}),
            ("--reason", {"reason": " "}),
            ("--reason", {"reason": "two\nlines"}),
            ("not an active member of staff", {"by": make_user().email}),
            ("no user", {"by": "nobody@example.org"}),
        ):
            with self.assertRaisesRegex(CommandError, words):
                self.change(hold=True, **options)
        with self.assertRaisesRegex(CommandError, "no user"):
            self.change(reassign="nobody@example.org")
        with self.assertRaisesRegex(CommandError, "is required"):
            call_command("change_batch", batch=self.batch.label, reason="x", by=self.staff.email)
        self.assertEqual(self.everything(), before)
        self.assertEqual(BulkOperation.objects.count(), 0)

    def test_a_code_in_the_reason_is_masked(self):
        self.change(hold=True, reason=f"Lost {self.vouchers[0].shown_code}")
        self.assertNotIn(self.vouchers[0].shown_code, VoucherEvent.objects.latest("pk").reason)
        self.assertNotIn(self.vouchers[0].shown_code, BulkOperation.objects.get().reason)


class InterruptionTests(BatchChangeTestCase):
    def failing(self, error, *, at):
        """The change fails in the chunk with this number, before anything of it is done."""
        calls = []

        def change_holds(*args, **options):
            calls.append(args)
            if len(calls) == at:
                raise error
            return services.change_holds(*args, **options)

        return patch.object(batch_changes, "change_holds", change_holds)

    def assertHeldOnce(self):
        self.assertEqual(set(self.new_events("suspended").values()), {1})
        self.assertEqual(len(self.new_events("suspended")), 6)
        operation = BulkOperation.objects.get()
        self.assertEqual((operation.status, operation.handled), ("completed", 10))
        self.assertEqual(
            operation.counts, {"changed": 6, "unchanged": 1, "used_up": 1, "voided": 1, "refunded": 1}
        )

    def test_after_ctrl_c_the_same_command_goes_on_where_it_was(self):
        with self.failing(KeyboardInterrupt, at=3), self.assertRaises(SystemExit) as end:
            self.change(hold=True)
        self.assertEqual(end.exception.code, 130)
        operation = BulkOperation.objects.get()
        self.assertEqual((operation.status, operation.handled), ("stopped", 6))
        self.change(hold=True)
        self.assertHeldOnce()

    def test_killed_or_without_database_it_is_taken_up_by_the_schedule(self):
        with self.failing(OperationalError("gone"), at=2), self.assertRaisesRegex(CommandError, "in time"):
            self.change(hold=True)
        self.assertEqual(BulkOperation.objects.get().status, "running")
        self.assertEqual(bulk_operations.run_interrupted(), 0)  # somebody may be at it still
        later = timezone.now() - bulk_operations.lifecycle.OPERATION_LEASE
        BulkOperation.objects.update(updated_at=later - timedelta(seconds=1))
        self.assertEqual(bulk_operations.run_interrupted(), 1)
        self.assertHeldOnce()
        self.assertEqual(bulk_operations.run_interrupted(), 0)

    def test_an_unexpected_error_ends_it_and_the_command_for_one_operation_goes_on(self):
        with (
            self.failing(ValueError("x"), at=2),
            self.assertRaisesRegex(CommandError, "unexpected"),
            self.assertLogs("apps.core.bulk_operations.lifecycle", "ERROR"),
        ):
            self.change(hold=True)
        operation = BulkOperation.objects.get()
        self.assertEqual((operation.status, operation.handled), ("failed", 3))
        self.assertEqual(list(BulkOperation.objects.needing_attention(timezone.now())), [operation])
        call_command("run_bulk_operations", str(operation.pk), stdout=io.StringIO())
        self.assertHeldOnce()
        with self.assertRaisesRegex(CommandError, "at its end"):
            call_command("run_bulk_operations", str(operation.pk))
        with self.assertRaisesRegex(CommandError, "no bulk operation"):
            call_command("run_bulk_operations", "999999")

    def test_while_one_is_open_no_other_begins_on_the_same_batch(self):
        operation = batch_changes.start(
            BatchChange.HOLD, self.batch, actor=self.staff, reason="x", in_background=False
        )
        for way in ("hold", "void"):
            with self.assertRaisesRegex(CommandError, "Another operation"):
                self.change(**{way: True})
        bulk_operations.stop(operation_id=operation.pk)
        self.change(void=True)
        with self.assertRaises(bulk_operations.OperationEnded):
            bulk_operations.stop(operation_id=BulkOperation.objects.latest("pk").pk)

    def test_stopped_meanwhile_it_does_no_further_chunk(self):
        operation = batch_changes.start(
            BatchChange.HOLD, self.batch, actor=self.staff, reason="x", in_background=False
        )
        bulk_operations.run(
            operation.pk, on_progress=lambda started: bulk_operations.stop(operation_id=started.pk)
        )
        operation.refresh_from_db()
        self.assertEqual((operation.status, operation.handled), ("stopped", 3))

    def test_the_owner_is_told_of_what_was_changed_before_it_was_stopped_and_later_of_the_rest(self):
        Email.objects.all().delete()  # about those that were changed singly
        operation = batch_changes.start(
            BatchChange.VOID, self.batch, actor=self.staff, reason="A carton was lost", in_background=False
        )
        self.assertTrue(bulk_operations.run(operation.pk, budget=0))
        bulk_operations.stop(operation_id=operation.pk)
        bulk_operations.resume(operation_id=operation.pk, in_background=False)
        bulk_operations.run(operation.pk)
        operation.refresh_from_db()
        self.assertEqual((operation.status, operation.parameters), ("completed", {"batch": self.batch.pk}))
        first, rest = Email.objects.order_by("id")
        self.assertEqual(first.to, rest.to)
        self.assertEqual(sum(int(mail.subject[0]) for mail in (first, rest)), operation.counts["changed"])

    def test_a_slice_of_time_is_kept_to_and_the_next_one_goes_on(self):
        operation = batch_changes.start(
            BatchChange.HOLD, self.batch, actor=self.staff, reason="A carton was lost", in_background=False
        )
        slices = 0
        while bulk_operations.run(operation.pk, budget=0):
            slices += 1
        self.assertEqual(slices, 4)
        self.assertHeldOnce()


class ReassignTests(BatchChangeTestCase):
    def mine(self, user):
        return self.signed_in(user).get("/api/vouchers/my-vouchers/").json()["count"]

    def test_the_new_owner_has_what_is_left(self):
        said = self.change(reassign=self.other.email)
        self.assertRegex(said, r"Reassigned +7\n")
        self.assertEqual((self.mine(self.customer), self.mine(self.other)), (3, 7))
        event = VoucherEvent.objects.filter(kind="reassigned").latest("pk")
        operation = BulkOperation.objects.get()
        expected = {"from": self.customer.pk, "to": self.other.pk, "bulk_operation": operation.pk}
        self.assertEqual(
            (event.actor, event.reason, event.details), (self.staff, "A carton was lost", expected)
        )
        self.assertEqual(broken_rules("terms_of_sale"), {})
        self.change(reassign=self.customer.email)
        self.assertEqual(self.mine(self.other), 0)
        self.assertEqual(broken_rules("terms_of_sale"), {})

    def test_control_an_owner_that_no_history_tells_of_is_found(self):
        self.change(reassign=self.other.email)
        Voucher.objects.filter(pk=self.vouchers[0].pk).update(user=self.customer)
        Voucher.objects.filter(pk=self.used.pk).update(user=self.other)
        self.assertEqual(
            broken_rules("terms_of_sale"), {"terms_of_sale": [self.vouchers[0].pk, self.used.pk]}
        )

    def test_an_account_that_is_closed_meanwhile_gets_nothing_more(self):
        operation = batch_changes.start(
            BatchChange.REASSIGN,
            self.batch,
            actor=self.staff,
            reason="x",
            new_owner=self.other,
            in_background=False,
        )
        bulk_operations.run(operation.pk, budget=0)
        users.close_account(user=self.other, password=PASSWORD)
        bulk_operations.run(operation.pk)
        operation.refresh_from_db()
        self.assertEqual((operation.status, operation.handled), ("failed", 3))
        self.assertIn("not active", operation.error)
        self.assertEqual(Voucher.objects.filter(user=self.other).count(), 3)

    def test_nobody_whose_account_is_closed_gets_any(self):
        users.close_account(user=self.other, password=PASSWORD)
        self.other.refresh_from_db()
        with self.assertRaisesRegex(CommandError, "not active"):
            self.change(reassign=self.other.email)
