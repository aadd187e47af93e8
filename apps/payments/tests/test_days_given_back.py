"""The days that vouchers lose to disputes and refunds that come to nothing are given back, once."""

from datetime import timedelta
from decimal import Decimal

import time_machine
from django.utils import timezone

from apps.payments import gateway, services
from apps.payments.models import Dispute
from apps.users.tests.factories import make_customer
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import PaidTestCase


class DaysGivenBackTests(PaidTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.paid = self.buy(1)
        (self.voucher,) = self.paid.vouchers
        self.start_day = timezone.localdate(self.voucher.expiry_date)
        self.began = timezone.now()

    def on_day(self, day):
        """The clock so many days after the purchase."""
        return time_machine.travel(self.began + timedelta(days=day), tick=False)

    def dispute_is(self, number, status, *, day):
        """What Stripe says of the dispute with this number on that day."""
        dispute_id = f"dp_{number}"
        with self.on_day(day):
            applied = services.apply_dispute(
                gateway.Dispute(
                    id=dispute_id,
                    intent_id=self.paid.stripe_payment_intent_id,
                    status=status,
                    amount=Decimal(10),
                    currency="USD",
                    reason="fraudulent",
                ),
                read_at=Dispute.objects.filter(stripe_dispute_id=dispute_id)
                .values_list("updated_at", flat=True)
                .first(),
            )
        self.assertIsNotNone(applied)

    def days_gained(self, voucher=None):
        voucher = Voucher.objects.get(pk=(voucher or self.voucher).pk)
        at_end = timezone.localtime(voucher.expiry_date)
        self.assertEqual((at_end.hour, at_end.minute, at_end.second), (23, 59, 59))
        return (at_end.date() - self.start_day).days

    def test_two_disputes_over_the_same_days_give_them_back_once(self):
        self.dispute_is(1, "needs_response", day=0)
        self.dispute_is(2, "needs_response", day=0)
        self.dispute_is(1, "won", day=10)
        self.assertEqual(self.days_gained(), 0)  # still held for the other
        self.dispute_is(2, "won", day=10)
        self.assertEqual(self.days_gained(), 10)

    def test_overlapping_disputes_give_their_union_back(self):
        self.dispute_is(1, "needs_response", day=0)
        self.dispute_is(2, "needs_response", day=6)
        self.dispute_is(1, "won", day=10)
        self.dispute_is(2, "won", day=15)
        self.assertEqual(self.days_gained(), 15)

    def test_a_dispute_that_is_reopened_for_a_moment_gives_nothing_back_twice(self):
        for status, day in (("needs_response", 0), ("won", 10), ("needs_response", 40), ("won", 40)):
            self.dispute_is(1, status, day=day)
        self.assertEqual(self.days_gained(), 10)

    def test_a_dispute_that_is_lost_and_won_ninety_days_later_gives_all_of_them_back(self):
        for status, day in (("needs_response", 0), ("lost", 10), ("won", 100)):
            self.dispute_is(1, status, day=day)
        self.assertEqual(self.days_gained(), 100)
        self.assertEqual(self.books(self.paid)[3], [""])

    def test_one_lost_and_later_won_while_another_is_open_counts_until_the_last_ends(self):
        for number, status, day in (
            (1, "needs_response", 0),
            (1, "lost", 5),
            (2, "needs_response", 8),
            (1, "won", 20),
            (2, "won", 30),
        ):
            self.dispute_is(number, status, day=day)
        self.assertEqual(self.days_gained(), 30)

    def test_two_suspensions_with_free_days_between_give_back_their_sum(self):
        for number, status, day in (
            (1, "needs_response", 0),
            (1, "won", 4),
            (2, "needs_response", 20),
            (2, "won", 27),
        ):
            self.dispute_is(number, status, day=day)
        self.assertEqual(self.days_gained(), 11)

    def test_the_same_answer_again_gives_nothing_more(self):
        self.dispute_is(1, "needs_response", day=0)
        for day in (9, 12, 30):
            self.dispute_is(1, "won", day=day)
        self.assertEqual(self.days_gained(), 9)
        kinds = VoucherEvent.objects.filter(voucher=self.voucher).values_list("kind", flat=True)
        self.assertEqual(list(kinds), ["issued", "suspended", "released", "extended"])

    def test_a_request_that_staff_reject_gives_the_days_back_even_past_the_expiry(self):
        self.type = make_type(validity_days=5)
        paid = self.buy(1)
        (voucher,) = paid.vouchers
        self.start_day = timezone.localdate(voucher.expiry_date)
        refund_id = self.ask(paid).json()["id"]
        with self.on_day(30):
            services.reject_refund(refund_id=refund_id, actor=self.staff, note="No")
            self.assertEqual(self.days_gained(voucher), 30)
            self.assertEqual(paid.vouchers[0].status_at(timezone.now()), "active")
        self.assertEqual(broken_rules(), {})

    def test_a_refund_that_comes_back_from_the_bank_gives_the_days_back(self):
        paid = self.paid = self.buy(1, "pm_card_refundFail")
        (voucher,) = paid.vouchers
        refund = self.refund(paid)
        self.assertEqual(self.books(paid)[0], "refunded")
        self.stripe.settle_refund(refund.stripe_refund_id, "failed")
        with self.on_day(12):
            services.sync_refund(refund.stripe_refund_id)
        self.assertEqual(self.days_gained(voucher), 12)

    def test_a_request_within_a_dispute_counts_its_days_once(self):
        refund_id = self.ask(self.paid).json()["id"]
        self.dispute_is(1, "needs_response", day=3)
        with self.on_day(7):
            services.reject_refund(refund_id=refund_id, actor=self.staff, note="No")
        self.assertEqual(self.days_gained(), 0)
        self.dispute_is(1, "won", day=10)
        self.assertEqual(self.days_gained(), 10)

    def test_a_voucher_that_had_expired_before_loses_and_gains_no_days(self):
        Voucher.objects.update(expiry_date=self.began - timedelta(days=1))
        before = Voucher.objects.get().expiry_date
        self.dispute_is(1, "needs_response", day=0)
        self.dispute_is(1, "won", day=10)
        self.assertEqual(Voucher.objects.get().expiry_date, before)

    def test_a_voucher_that_expired_meanwhile_has_the_days_left_that_it_had(self):
        Voucher.objects.update(expiry_date=voucher_services.expiry_of(self.began, 4))
        self.dispute_is(1, "needs_response", day=0)
        self.dispute_is(1, "won", day=10)
        with self.on_day(10):
            self.assertEqual(Voucher.objects.get().days_left_at(timezone.now()), 4)

    def test_one_that_staff_voided_meanwhile_gets_none_and_one_that_they_suspended_does(self):
        paid = self.paid = self.buy(2)
        voided, suspended = paid.vouchers
        self.dispute_is(1, "needs_response", day=0)
        voucher_services.void_vouchers([voided.pk], actor=self.staff, reason="Misprint")
        voucher_services.suspend_vouchers([suspended.pk], actor=self.staff, reason="Odd")
        self.dispute_is(1, "won", day=10)
        self.assertEqual([self.days_gained(each) for each in (voided, suspended)], [0, 10])
        self.assertEqual(self.books(paid)[3], ["voided", "suspended"])

    def test_a_new_code_meanwhile_changes_nothing(self):
        self.dispute_is(1, "needs_response", day=0)
        voucher_services.reissue_voucher(voucher_id=self.voucher.pk, actor=self.staff, reason="Lost")
        self.dispute_is(1, "won", day=10)
        self.assertEqual(self.days_gained(), 10)

    def test_days_are_those_of_the_projects_zone(self):
        with self.settings(TIME_ZONE="Pacific/Auckland"):
            voucher = make_voucher(owner=make_customer())
            day = timezone.localdate(voucher.expiry_date)
            noon = timezone.localtime().replace(hour=12, minute=0, second=0, microsecond=0)
            for hours, holds in ((11.9, {Hold.DISPUTED}), (12.1, ())):
                with time_machine.travel(noon + timedelta(hours=hours), tick=False):
                    voucher_services.sync_money_holds({voucher.pk: holds}, reason="x")
            voucher.refresh_from_db()
            self.assertEqual(timezone.localdate(voucher.expiry_date), day + timedelta(days=1))

    def test_a_history_that_is_older_than_the_note_of_all_holds_is_read_as_well(self):
        event = {"voucher": self.voucher, "hold": Hold.DISPUTED}
        for kind, days in (("suspended", 60), ("released", 50), ("suspended", 7)):
            VoucherEvent.objects.create(kind=kind, at=self.began - timedelta(days=days), **event)
        Voucher.objects.update(holds="disputed", is_active=False, inactive_reason="disputed")
        voucher_services.sync_money_holds({self.voucher.pk: ()}, reason="Dispute 1 won")
        self.assertEqual(self.days_gained(), 7)
