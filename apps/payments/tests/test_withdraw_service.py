"""`manage.py withdraw_service`: says what it would do, does it once, and gives the money back for what was not used."""

import io
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.payments.models import Refund, Transaction
from apps.payments.services import withdrawal_refunds
from apps.users.tests.factories import make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.services import batches, withdrawal
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import PaidTestCase


class WithdrawTestCase(PaidTestCase, ApiTestCase):
    def withdraw(self, *, what="hold", apply=True, **options):
        """Run the command; what it said."""
        said = io.StringIO()
        arguments = {"type": self.type.name, "reason": "The service closes", what: True, **options}
        call_command("withdraw_service", apply=apply, **arguments, stdout=said, stderr=said)
        return said.getvalue()

    def refund_all(self, **options):
        return self.withdraw(what="refund", by=self.staff.email, **options)

    def everything(self):
        return (
            list(Voucher.objects.order_by("pk").values()),
            list(VoucherEvent.objects.order_by("pk").values()),
            list(Refund.objects.order_by("pk").values()),
            self.type.__class__.objects.get(pk=self.type.pk).is_active,
            len(self.stripe.refunds()),
        )

    def make_batch(self, quantity=3):
        batch = batches.get_or_create_batch(voucher_type=self.type, owner=self.customer, quantity=quantity)
        batches.issue_remaining(batch=batch)
        return batch


class HoldTests(WithdrawTestCase):
    def test_a_dry_run_says_what_there_is_and_changes_nothing(self):
        paid = self.buy(2)
        self.redeem(paid.vouchers[0])
        self.make_batch()
        self.start(1)
        before = self.everything()
        for options in (
            {"what": "hold"},
            {"what": "refund", "by": self.staff.email},
            {"what": "release"},
        ):
            said = self.withdraw(apply=False, **options)
            self.assertRegex(said, r"never used +4\n")
            self.assertRegex(said, r"used up +1\n")
            self.assertIn("1 purchases are not paid yet", said)
            self.assertIn("Nothing was changed", said)
            self.assertEqual(self.everything(), before)
        self.assertIn(
            "1 vouchers of 1 payments: 10.00 USD",
            self.withdraw(what="refund", by=self.staff.email, apply=False),
        )

    def test_it_holds_and_a_second_run_changes_nothing(self):
        self.buy(2)
        self.make_batch()
        self.assertIn("Held 5 vouchers.", self.withdraw())
        self.assertEqual(set(Voucher.objects.values_list("holds", flat=True)), {"withdrawn"})
        before = self.everything()
        self.assertFalse(before[3])
        self.assertIn("Held 0 vouchers.", self.withdraw())
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.stripe.refunds(), [])

    def test_released_they_work_again(self):
        paid = self.buy(1)
        self.withdraw()
        self.assertProblem(self.redeem(paid.vouchers[0]), 409, "voucher_inactive")
        said = self.withdraw(what="release")
        self.assertIn("Let go 1 vouchers.", said)
        self.assertEqual(self.redeem(paid.vouchers[0]).status_code, 200)

    def test_what_was_being_paid_is_issued_and_found_by_the_next_run(self):
        intent_id = self.start(1).json()["payment_intent_id"]
        self.withdraw()
        self.stripe.pay(intent_id, "pm_card_visa")
        self.api.post("/api/payments/confirm-payment/", {"payment_intent_id": intent_id})
        self.assertEqual(Voucher.objects.get().holds, "")
        self.assertIn("Held 1 vouchers.", self.withdraw())

    def test_what_is_wrong_is_said_and_nothing_changes(self):
        self.buy(1)
        before = self.everything()
        for words, options in (
            ("no voucher type", {"type": "Nothing"}),
            ("--reason", {"reason": " "}),
            ("--reason", {"reason": "x" * 201}),
            ("--reason", {"reason": "two\nlines"}),
            ("needs --by", {"what": "refund"}),
            ("not an active member of staff", {"by": make_user().email}),
            ("no user", {"by": "nobody@example.org"}),
        ):
            with self.assertRaisesRegex(CommandError, words):
                self.withdraw(**options)
            self.assertEqual(self.everything(), before)
        with self.assertRaisesRegex(
            CommandError, "one of the arguments --hold --refund --release is required"
        ):
            call_command("withdraw_service", type=self.type.name, reason="x", apply=True)
        self.assertEqual(self.everything(), before)

    def test_ctrl_c_says_that_it_can_go_on(self):
        self.buy(1)
        with (
            patch.object(withdrawal, "change_holds", side_effect=KeyboardInterrupt),
            self.assertRaises(SystemExit) as end,
        ):
            self.withdraw()
        self.assertEqual(end.exception.code, 130)
        self.assertIn("Held 1 vouchers.", self.withdraw())


class RefundTests(WithdrawTestCase):
    def test_what_went_back_as_goodwill_or_was_lost_is_not_refunded_again(self):
        goodwill, lost = self.buy(2), self.buy(2)
        self.stripe.refund(goodwill.stripe_payment_intent_id, 400)
        dispute = self.stripe.dispute(lost.stripe_payment_intent_id, 500)["id"]
        self.stripe.close_dispute(dispute, "lost")
        self.deliver_all("refund.created")
        self.deliver_all("charge.dispute.closed")
        self.assertIn("3 vouchers of 2 payments: 26.00 USD", self.refund_all(apply=False))
        self.refund_all()
        self.assertEqual([refund["amount"] for refund in self.stripe.refunds()], [400, 1600, 1000])
        self.assertEqual(self.books(goodwill)[0], "refunded")
        self.assertEqual(self.books(lost), ("completed", 0, 15, ["refunded", "refunded withdrawn"]))
        self.assertEqual(broken_rules(), {})

    def test_what_was_never_used_is_refunded_and_the_rest_held(self):
        self.type.max_uses = 2
        self.type.save()
        paid = self.buy(3)
        self.redeem(paid.vouchers[0])
        self.make_batch(2)
        said = self.refund_all()
        self.assertIn("Held 5 vouchers.", said)
        self.assertIn("Refunded 2 vouchers; on their way 0; failed 0", said)
        self.assertEqual(
            self.books(paid),
            ("completed", 0, 20, ["withdrawn", "refunded withdrawn", "refunded withdrawn"]),
        )
        (refund,) = Refund.objects.all()
        self.assertEqual(
            (refund.origin, refund.requested_by, refund.decided_by, refund.reason, refund.amount),
            ("staff", self.staff, self.staff, "The service closes", 20),
        )
        self.assertEqual(len(self.stripe.refunds()), 1)
        batch_holds = set(Voucher.objects.exclude(batch=None).values_list("holds", flat=True))
        self.assertEqual(batch_holds, {"withdrawn"})

    def test_a_second_run_refunds_nothing_more(self):
        self.buy(2)
        self.buy(1)
        self.assertIn("Refunded 3 vouchers", self.refund_all())
        before = self.everything()
        self.assertIn("Refunded 0 vouchers", self.refund_all())
        self.assertEqual(self.everything(), before)

    def test_other_types_used_expired_and_stopped_vouchers_are_not_refunded(self):
        mine, self.type = self.type, make_type()
        other = self.buy(1)
        self.type = mine
        paid = self.buy(4)
        used, expired, suspended, _ = paid.vouchers
        self.redeem(used)
        Voucher.objects.filter(pk=expired.pk).update(expiry_date=timezone.now())
        voucher_services.suspend_vouchers([suspended.pk], actor=self.staff, reason="Stolen")
        said = self.refund_all()
        self.assertIn("Refunded 1 vouchers", said)
        self.assertEqual(
            self.books(paid), ("completed", 0, 10, ["", "", "withdrawn suspended", "refunded withdrawn"])
        )
        self.assertEqual(self.books(other)[3], [""])

    def test_a_free_voucher_is_held_only(self):
        self.type.price = 0
        self.type.save()
        self.api.post("/api/vouchers/purchase/", {"voucher_type_id": self.type.pk, "quantity": 1})
        self.assertIn("Refunded 0 vouchers", self.refund_all())
        self.assertEqual(Voucher.objects.get().holds, "withdrawn")
        self.assertEqual(Refund.objects.count(), 0)

    def test_what_buyers_asked_for_before_is_approved(self):
        paid = self.buy(2)
        self.ask(paid)
        self.assertIn("Refunded 2 vouchers", self.refund_all())
        (refund,) = Refund.objects.all()
        self.assertEqual(
            (refund.origin, refund.status, refund.decided_by), ("buyer", "succeeded", self.staff)
        )
        self.assertEqual(self.books(paid)[0], "refunded")

    def test_killed_between_asking_and_approving_it_goes_on(self):
        paid = self.buy(2)
        with (
            patch.object(withdrawal_refunds, "approve_refund", side_effect=MemoryError),
            self.assertRaises(MemoryError),
        ):
            self.refund_all()
        self.assertEqual(Refund.objects.get().status, "requested")
        self.assertIn("Refunded 2 vouchers", self.refund_all())
        self.assertEqual(
            (self.books(paid)[0], Refund.objects.count(), len(self.stripe.refunds())), ("refunded", 1, 1)
        )

    def test_while_stripe_is_away_it_stops_and_then_goes_on_and_refunds_once(self):
        paid = [self.buy(1) for _ in range(3)]
        self.stripe.add_fault(method="POST", path="/v1/refunds", effect_then_error=500)
        with self.assertRaisesRegex(CommandError, "Stripe did not answer.*goes on"):
            self.refund_all()
        self.assertEqual(set(Voucher.objects.values_list("is_active", flat=True)), {False})
        self.assertIn("Refunded 3 vouchers", self.refund_all())
        self.assertEqual([self.books(each)[0] for each in paid], ["refunded"] * 3)
        self.assertEqual(len(self.stripe.refunds()), 3)

    def test_what_stripe_refuses_stays_held_and_is_told(self):
        paid = self.buy(1)
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=400)
        with self.assertLogs("apps.payments", "ERROR"):
            self.assertIn("failed 1", self.refund_all())
        self.assertEqual(self.books(paid), ("completed", 0, 0, ["withdrawn"]))
        self.assertIn("Refunded 1 vouchers", self.refund_all())
        self.assertEqual(self.books(paid)[0], "refunded")

    def test_a_payment_in_dispute_is_left_to_the_bank(self):
        paid = self.buy(1, "pm_card_createDispute")
        self.deliver_all("charge.dispute.created")
        said = self.refund_all()
        self.assertIn("Refunded 0 vouchers", said)
        self.assertEqual((self.books(paid)[3], Refund.objects.count()), (["disputed withdrawn"], 0))

    def test_a_refund_that_the_bank_takes_its_time_with_is_under_way(self):
        paid = self.buy(1, "pm_card_pendingRefund")
        self.assertIn("on their way 1", self.refund_all())
        before = self.everything()
        self.assertIn("Refunded 0 vouchers; on their way 0", self.refund_all())
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.books(paid)[3], ["refund_pending withdrawn"])

    def test_released_refunded_vouchers_stay_void(self):
        paid = self.buy(1)
        self.make_batch(1)
        self.refund_all()
        self.assertIn("Let go 2 vouchers", self.withdraw(what="release"))
        self.assertEqual(self.books(paid)[3], ["refunded"])
        self.assertProblem(self.redeem(paid.vouchers[0]), 409, "voucher_inactive")
        self.assertEqual(self.redeem(Voucher.objects.exclude(batch=None).get()).status_code, 200)

    def test_pages_of_payments_miss_none(self):
        for _ in range(3):
            self.buy(1)
        self.withdraw()
        ids = list(Transaction.objects.order_by("pk").values_list("pk", flat=True))
        self.assertEqual(list(withdrawal_refunds._payments(self.type)), ids)
        self.assertEqual(withdrawal_refunds.payments_to_refund(self.type), 3)
