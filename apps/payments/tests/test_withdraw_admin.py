"""A service is withdrawn from the page of its type: a dry run in numbers, then in the background, with a result."""

import io
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone

from apps.core import bulk_operations
from apps.core.models import BulkOperation
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.models import Refund
from apps.payments.services import withdrawal_refunds
from apps.payments.services.refunds import decisions
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher, VoucherEvent, VoucherType
from apps.vouchers.services import batches
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import PaidTestCase

REASON = "The service closes"


class WithdrawalTestCase(PaidTestCase, ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.admin: Any = Client()
        self.admin.force_login(self.staff)
        self.page = f"/admin/vouchers/vouchertype/{self.type.pk}/withdraw/"

    def withdraw(self, what: str) -> Any:
        """Confirm it; what the database commits is then carried out."""
        with self.captureOnCommitCallbacks(execute=True):
            answer = self.admin.post(self.page, {"what": what, "reason": REASON})
        return self.admin.get(answer.url) if answer.status_code == 302 else answer

    def figures(self) -> dict[str, str]:
        shown = self.admin.get(self.page).context["dry_run"].figures
        return {words: figure.replace("\N{NO-BREAK SPACE}", " ") for words, figure in shown}

    def make_batch(self, quantity: int = 2) -> None:
        batch = batches.get_or_create_batch(voucher_type=self.type, owner=make_user(), quantity=quantity)
        batches.issue_remaining(batch=batch)


class WithdrawalTests(WithdrawalTestCase):
    def test_the_dry_run_tells_vouchers_people_and_money_and_changes_nothing(self) -> None:
        paid = self.buy(3)
        self.redeem(paid.vouchers[0])
        self.buy(1)
        self.make_batch()
        self.start(1)
        figures = self.figures()
        expected = {
            "Vouchers to hold": "5",
            "Owners of these": "2",
            "What these were sold for": "50.00 USD",
            "Vouchers to refund, if you refund: never used and paid for": "3",
            "Buyers of these": "1",
            "Payments of these": "2",
            "Money to give back": "30.00 USD",
            "Left alone: used up": "1",
        }
        self.assertEqual(figures, figures | expected)
        self.assertContains(self.admin.get(self.page), "1 purchases are not paid yet")
        self.assertTrue(VoucherType.objects.get(pk=self.type.pk).is_active)
        self.assertEqual((VoucherEvent.objects.filter(kind="held").count(), Refund.objects.count()), (0, 0))

    def test_it_is_held_with_actor_and_reason(self) -> None:
        paid = self.buy(2)
        page = self.withdraw("hold")
        operation = BulkOperation.objects.get()
        self.assertContains(page, "Completed")
        self.assertContains(page, "2 Held")
        self.assertFalse(VoucherType.objects.get(pk=self.type.pk).is_active)
        self.assertProblem(self.redeem(paid.vouchers[0]), 409, "voucher_inactive")
        events = VoucherEvent.objects.filter(kind="held", hold="withdrawn", actor=self.staff, reason=REASON)
        self.assertEqual(events.count(), 2)
        messages = [entry.change_message for entry in LogEntry.objects.filter(object_id=str(self.type.pk))]
        self.assertTrue(any(REASON in message for message in messages))
        self.assertContains(
            self.admin.get(f"/admin/vouchers/vouchertype/{self.type.pk}/change/"),
            f"/admin/core/bulkoperation/{operation.pk}/change/",
        )
        self.assertContains(self.withdraw("release"), "2 Released")
        self.assertEqual(self.redeem(paid.vouchers[0]).status_code, 200)
        self.assertEqual(broken_rules(), {})

    def test_what_was_never_used_is_refunded_and_what_came_of_it_is_stored(self) -> None:
        paid, other = self.buy(3), self.buy(1)
        self.redeem(paid.vouchers[0])
        self.make_batch()
        page = self.withdraw("refund")
        self.assertContains(page, "3 Refunded")
        self.assertContains(page, "5 Held")
        operation = BulkOperation.objects.get()
        self.assertEqual((operation.status, operation.handled, operation.total), ("completed", 7, 7))
        for each in (paid, other):
            each.refresh_from_db()
        self.assertEqual((paid.amount_refunded, other.amount_refunded), (20, 10))
        self.assertEqual(set(Refund.objects.values_list("requested_by", "reason")), {(self.staff.pk, REASON)})
        self.assertEqual(broken_rules(), {})

    def test_while_stripe_is_away_it_waits_and_then_refunds_once(self) -> None:
        for _ in range(3):
            self.buy(1)
        approve, calls = decisions.approve_refund, []

        def away_at_the_second(**options: Any) -> Refund:
            calls.append(options)
            if len(calls) == 2:
                raise PaymentProviderUnavailable
            return approve(**options)

        with patch.object(withdrawal_refunds, "approve_refund", away_at_the_second):
            page = self.withdraw("refund")
        operation = BulkOperation.objects.get()
        self.assertEqual((operation.status, operation.counts["refunded"]), ("running", 1))
        self.assertTrue(operation.error)
        self.assertEqual(page.headers["Refresh"], "3")
        before = timezone.now() - timedelta(hours=1)
        BulkOperation.objects.update(updated_at=before)
        self.assertEqual(bulk_operations.run_interrupted(), 1)
        operation.refresh_from_db()
        self.assertEqual(
            (operation.status, operation.counts["refunded"], operation.error), ("completed", 3, "")
        )
        self.assertEqual((len(self.stripe.refunds()), operation.handled, operation.total), (3, 6, 6))
        self.assertEqual(broken_rules(), {})

    def test_killed_after_a_refund_it_is_counted_all_the_same(self) -> None:
        for _ in range(2):
            self.buy(1)
        add = BulkOperation.add

        def killed(operation: BulkOperation, counts: Any, *, handled: int) -> None:
            if operation.stage:
                raise SystemExit
            add(operation, counts, handled=handled)

        with patch.object(BulkOperation, "add", killed), self.assertRaises(SystemExit):
            self.withdraw("refund")
        self.assertEqual(BulkOperation.objects.get().status, "running")
        call_command("run_bulk_operations", stdout=io.StringIO())
        operation = BulkOperation.objects.get()
        self.assertEqual((operation.status, operation.counts["refunded"]), ("completed", 2))
        self.assertEqual(len(self.stripe.refunds()), 2)

    @override_settings(SECOND_PERSON_REFUNDS={"USD": 15})
    def test_large_refunds_wait_for_somebody_else(self) -> None:
        self.buy(2)
        self.buy(1)
        page = self.withdraw("refund")
        self.assertContains(page, "1 Refunded")
        self.assertContains(page, "2 For somebody else to approve")

    def test_only_who_may_refund_is_offered_to(self) -> None:
        self.buy(1)
        desk = make_user(is_staff=True)
        names = ("view_vouchertype", "withdraw_vouchertype", "make_refund")
        desk.user_permissions.set(Permission.objects.filter(codename__in=names))
        self.admin.force_login(desk)
        self.assertNotContains(self.admin.get(self.page), 'value="refund"')
        self.assertContains(self.withdraw("refund"), "Select a valid choice")
        self.assertEqual((BulkOperation.objects.count(), Voucher.objects.get().holds), (0, ""))
        self.withdraw("hold")
        self.assertEqual(Voucher.objects.get().holds, "withdrawn")

    def test_the_page_and_the_command_do_the_same(self) -> None:
        self.buy(2)
        self.withdraw("hold")
        options = {"type": self.type.name, "reason": REASON, "hold": True, "apply": True}
        said = io.StringIO()
        call_command("withdraw_service", **options, stdout=said)
        self.assertIn("Held 0 vouchers.", said.getvalue())
