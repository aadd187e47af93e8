"""Refunds in Stripe's dashboard void the whole vouchers that they pay for; the rest is goodwill."""

from dataclasses import replace
from decimal import Decimal

from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from post_office.models import Email

from apps.payments import errors, gateway, services
from apps.payments.models import Refund, RefundedVoucher
from apps.payments.services import recalculation
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules
from tests.support.cases import ApiTestCase

from .money import REFUND, PaidTestCase


class GoodwillTestCase(PaidTestCase, ApiTestCase):
    def in_dashboard(self, paid, amount, kind="refund.created"):
        """A refund of so much in the major unit, made in Stripe's dashboard and told to us."""
        refund = self.stripe.refund(paid.stripe_payment_intent_id, int(amount * 100))
        self.deliver_all(kind)
        return refund

    def refund_voucher(self, paid, index):
        """A refund of one voucher that staff asked for and approved."""
        requested = services.request_refund_by_staff(
            transaction_id=paid.pk, actor=self.staff, reason="x", voucher_ids=[paid.vouchers[index].pk]
        )
        return services.approve_refund(refund_id=requested.pk, actor=self.staff)

    def assertBooks(self, paid, refunding, refunded, holds, *, goodwill=0):
        self.assertEqual(self.books(paid)[1:], (Decimal(refunding), Decimal(refunded), holds))
        self.assertEqual(paid.amount_goodwill, Decimal(goodwill))
        self.assertEqual(broken_rules(), {})


class VoidingTests(GoodwillTestCase):
    def test_less_than_a_voucher_costs_voids_none(self):
        paid = self.buy(1)
        self.in_dashboard(paid, 1)
        self.assertBooks(paid, 0, 1, [""], goodwill=1)
        self.assertEqual(paid.status, "completed")
        self.assertEqual(self.redeem(paid.vouchers[0]).status_code, 200)
        self.assertNotIn("voided", VoucherEvent.objects.values_list("kind", flat=True))

    def test_a_voucher_that_was_used_in_part_keeps_its_other_uses(self):
        self.type = make_type(price=50, max_uses=5)
        paid = self.buy(1)
        for _ in range(2):
            self.redeem(paid.vouchers[0])
        self.in_dashboard(paid, 5)
        self.assertBooks(paid, 0, 5, [""], goodwill=5)
        for _ in range(3):
            self.assertEqual(self.redeem(paid.vouchers[0]).status_code, 200)
        self.assertEqual(broken_rules(), {})

    def test_all_of_them_together_count_and_unused_ones_go_first(self):
        paid = self.buy(3)
        self.redeem(paid.vouchers[0])
        for amount, refunded, holds, goodwill in (
            (6, 6, ["", "", ""], 6),
            (6, 12, ["", "refunded", ""], 2),
            (8, 20, ["", "refunded", "refunded"], 0),
            (9, 29, ["", "refunded", "refunded"], 9),
            (1, 30, ["refunded"] * 3, 0),
        ):
            self.in_dashboard(paid, amount)
            self.assertBooks(paid, 0, refunded, holds, goodwill=goodwill)
        self.assertEqual(paid.status, "refunded")

    def test_what_was_used_in_part_goes_before_what_is_used_up(self):
        self.type = make_type(max_uses=2)
        paid = self.buy(2)
        used_up, begun = paid.vouchers
        for voucher in (used_up, used_up, begun):
            self.redeem(voucher)
        self.in_dashboard(paid, 14)
        self.assertBooks(paid, 0, 14, ["", "refunded"], goodwill=4)

    def test_one_that_fails_lets_go_what_the_others_do_not_pay_for(self):
        paid = self.buy(2, "pm_card_refundFail")
        first = self.in_dashboard(paid, 6)
        self.in_dashboard(paid, 6)
        self.assertBooks(paid, 0, 12, ["refunded", ""], goodwill=2)
        self.stripe.settle_refund(first["id"], "failed")
        with self.assertLogs("apps.payments", "ERROR"):
            self.deliver_all("refund.failed")
        self.assertBooks(paid, 0, 6, ["", ""], goodwill=6)
        self.assertEqual(self.redeem(paid.vouchers[0]).status_code, 200)

    def test_one_that_is_pending_only_holds(self):
        paid = self.buy(2, "pm_card_pendingRefund")
        first, second = self.in_dashboard(paid, 6), self.in_dashboard(paid, 6)
        self.assertBooks(paid, 12, 0, ["refund_pending", ""])
        for refund, refunding, refunded, holds, goodwill in (
            (second, 6, 6, ["refund_pending", ""], 6),
            (first, 0, 12, ["refunded", ""], 2),
        ):
            self.stripe.settle_refund(refund["id"], "succeeded")
            self.deliver_all("refund.updated")
            self.assertBooks(paid, refunding, refunded, holds, goodwill=goodwill)


class WhatIsLeftTests(GoodwillTestCase):
    def test_a_waiting_request_stays_where_it_still_fits(self):
        paid = self.buy(3)
        first = services.request_refund_by_staff(
            transaction_id=paid.pk, actor=self.staff, reason="One", voucher_ids=[paid.vouchers[0].pk]
        )
        self.in_dashboard(paid, 15)
        self.assertBooks(paid, 10, 15, ["refund_pending", "refunded", ""], goodwill=5)
        first.refresh_from_db()
        self.assertEqual((first.status, first.amount), ("requested", Decimal(10)))
        services.reject_refund(refund_id=first.pk, actor=self.staff, note="No")
        self.assertBooks(paid, 0, 15, ["", "refunded", ""], goodwill=5)

    def test_a_waiting_request_is_lowered_to_what_is_left_and_the_buyer_is_told(self):
        paid = self.buy(3)
        refund_id = self.ask(paid).json()["id"]
        self.in_dashboard(paid, 5)
        self.assertBooks(paid, 25, 5, ["refund_pending"] * 3, goodwill=5)
        lowered = Refund.objects.get(pk=refund_id)
        self.assertEqual((lowered.status, lowered.amount), ("requested", Decimal(25)))
        message = " ".join(Email.objects.get(subject="Your request for a refund was changed").message.split())
        self.assertIn("decide about 25.00 USD instead of 30.00 USD", message)
        self.in_dashboard(paid, 6)
        self.assertBooks(paid, 19, 11, ["refund_pending", "refund_pending", "refunded"], goodwill=1)
        services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertBooks(paid, 0, 30, ["refunded"] * 3)
        amounts = [refund["amount"] for refund in self.stripe.refunds(paid.stripe_payment_intent_id)]
        self.assertEqual(sorted(amounts), [500, 600, 1900])

    def test_a_waiting_request_is_canceled_when_nothing_is_left(self):
        paid = self.buy(1)
        refund_id = self.ask(paid).json()["id"]
        self.in_dashboard(paid, 10)
        self.assertEqual(Refund.objects.get(pk=refund_id).status, "canceled")
        self.assertBooks(paid, 0, 10, ["refunded"])
        self.assertNotIn("released", VoucherEvent.objects.values_list("kind", flat=True))

    def test_what_is_asked_for_afterwards_is_limited_to_what_is_left(self):
        paid = self.buy(2)
        self.in_dashboard(paid, 4)
        one = services.request_refund_by_staff(
            transaction_id=paid.pk, actor=self.staff, reason="One", voucher_ids=[paid.vouchers[0].pk]
        )
        self.assertEqual(one.amount, Decimal(10))
        answer = self.ask(paid)
        self.assertEqual((answer.status_code, answer.json()["amount"]), (201, "6.00"))
        for refund_id in (one.pk, answer.json()["id"]):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertBooks(paid, 0, 20, ["refunded", "refunded"])
        self.assertEqual(paid.status, "refunded")
        self.assertProblem(self.ask(paid), 409, "nothing_to_refund")

    def test_a_request_that_fails_after_goodwill_can_be_made_again(self):
        paid = self.buy(1)
        self.in_dashboard(paid, 4)
        refund_id = self.ask(paid).json()["id"]
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=400)
        with self.assertLogs("apps.payments", "ERROR"):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertBooks(paid, 0, 4, [""], goodwill=4)
        self.assertEqual(self.ask(paid).json()["amount"], "6.00")

    def test_more_than_was_paid_never_goes_back_when_an_ended_refund_was_not_heard_of(self):
        paid = self.buy(1, "pm_card_pendingRefund")
        ours = self.refund(paid)
        self.stripe.settle_refund(ours.stripe_refund_id, "failed")
        refund = self.stripe.refund(paid.stripe_payment_intent_id, 1000)
        with self.assertLogs("apps.payments", "ERROR"):
            response = self.deliver(self.event_of(refund["id"], "refund.created"))
        self.assertEqual(response.status_code, 200, response.content)
        ours.refresh_from_db()
        self.assertEqual(ours.status, "failed")
        self.assertBooks(paid, 10, 0, ["refund_pending"])

    def test_an_ended_refund_that_was_not_heard_of_keeps_no_older_one_out_of_the_books(self):
        paid = self.buy(2, "pm_card_refundFail")
        unheard_of = self.stripe.refund(paid.stripe_payment_intent_id, 1000)
        first = self.refund_voucher(paid, 0)
        self.stripe.settle_refund(first.stripe_refund_id, "failed")
        second = self.refund_voucher(paid, 1)
        with self.assertLogs("apps.payments", "ERROR"):
            response = self.deliver(self.event_of(unheard_of["id"], "refund.created"))
        self.assertEqual(response.status_code, 200, response.content)
        self.assertBooks(paid, 0, 20, ["refunded", "refunded"])
        refunds = dict(Refund.objects.values_list("stripe_refund_id", "status"))
        ids = (unheard_of["id"], first.stripe_refund_id, second.stripe_refund_id)
        self.assertEqual([refunds[each] for each in ids], ["succeeded", "failed", "succeeded"])

    def test_one_that_was_given_up_here_and_made_at_stripe_takes_the_place_of_the_next_request(self):
        paid = self.buy(1)
        first = self.refund(paid)
        first.lines.update(live=False)
        Refund.objects.update(status="failed", stripe_refund_id=None)
        Voucher.objects.update(holds="", is_active=True, inactive_reason="")
        paid.amount_refunded, paid.status = 0, "completed"
        paid.save()
        second = self.ask(paid).json()["id"]
        services.sync_refund(self.stripe.refunds()[0]["id"])
        self.assertEqual(Refund.objects.get(pk=second).status, "canceled")
        self.assertBooks(paid, 0, 10, ["refunded"])

    def test_one_that_was_given_up_here_and_is_pending_at_stripe_holds_another_voucher_for_one_that_was_used(
        self,
    ):
        paid = self.buy(2, "pm_card_pendingRefund")
        first, second = paid.vouchers
        refund = services.request_refund_by_staff(
            transaction_id=paid.pk, actor=self.staff, reason="One", voucher_ids=[first.pk]
        )
        services.approve_refund(refund_id=refund.pk, actor=self.staff)
        refund.lines.update(live=False)
        Refund.objects.update(status="failed", stripe_refund_id=None, finished_at=timezone.now())
        recalculation.recalculate(paid, reason="as if Stripe had refused")
        self.redeem(first)
        services.sync_refund(self.stripe.refunds()[0]["id"])
        self.assertBooks(paid, 10, 0, ["", "refund_pending"])
        self.assertEqual([line.voucher for line in refund.lines.all()], [second])


class LostDisputeTests(GoodwillTestCase):
    def lose(self, paid, amount):
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id, int(amount * 100))["id"]
        services.sync_dispute(dispute)
        self.stripe.close_dispute(dispute, "lost")
        services.sync_dispute(dispute)
        return dispute

    def test_a_lost_dispute_over_a_part_voids_what_it_pays_for_rounded_up(self):
        for amount, refunded, holds in (
            (1, 1, ["refunded", "", ""]),
            (10, 10, ["refunded", "", ""]),
            (10.01, 10.01, ["refunded", "refunded", ""]),
            (30, 30, ["refunded"] * 3),
        ):
            paid = self.buy(3)
            self.lose(paid, amount)
            self.assertBooks(paid, 0, Decimal(str(refunded)), holds)

    def test_the_rest_of_it_stays_refundable(self):
        paid = self.buy(3)
        self.lose(paid, 10)
        answer = self.ask(paid)
        self.assertEqual((answer.status_code, answer.json()["amount"]), (201, "20.00"))
        self.assertBooks(paid, 20, 10, ["refunded", "refund_pending", "refund_pending"])
        services.approve_refund(refund_id=answer.json()["id"], actor=self.staff)
        self.assertBooks(paid, 0, 30, ["refunded"] * 3)
        self.assertEqual(paid.status, "refunded")

    def test_a_waiting_request_is_lowered_only_as_far_as_it_no_longer_fits(self):
        paid = self.buy(3)
        self.ask(paid)
        self.lose(paid, 15)
        self.assertBooks(paid, 15, 15, ["refund_pending", "refund_pending", "refunded"])

    def test_one_whose_amount_stripe_corrects_afterwards_voids_what_that_pays_for(self):
        paid = self.buy(3)
        dispute = gateway.fetch_dispute(self.lose(paid, 10))
        for amount, holds in ((20, ["refunded", "refunded", ""]), (10, ["refunded", "", ""])):
            row = paid.disputes.get()
            services.apply_dispute(replace(dispute, amount=Decimal(amount)), read_at=row.updated_at)
            self.assertBooks(paid, 0, amount, holds)

    def test_one_that_is_won_in_the_end_lets_go_what_it_voided_and_nothing_else(self):
        paid = self.buy(3)
        self.in_dashboard(paid, 10)
        dispute_id = self.lose(paid, 5)
        self.assertBooks(paid, 0, 15, ["refunded", "refunded", ""])
        row = paid.disputes.get()
        dispute = gateway.fetch_dispute(dispute_id)
        services.apply_dispute(replace(dispute, status="won"), read_at=row.updated_at)
        self.assertBooks(paid, 0, 10, ["refunded", "", ""])

    def test_what_it_voided_stays_void_when_a_better_one_is_released(self):
        paid = self.buy(2)
        self.redeem(paid.vouchers[0])
        refund_id = self.ask(paid).json()["id"]
        self.lose(paid, 10)
        self.assertBooks(paid, 10, 10, ["refunded", "refund_pending"])
        services.reject_refund(refund_id=refund_id, actor=self.staff, note="No")
        self.assertBooks(paid, 0, 10, ["refunded", ""])

    def test_a_used_voucher_is_voided_last_and_the_buyer_is_told_which(self):
        paid = self.buy(2)
        used, unused = paid.vouchers
        self.redeem(used)
        self.lose(paid, 10)
        self.assertBooks(paid, 0, 10, ["", "refunded"])
        message = Email.objects.latest("id").message
        self.assertIn(str(unused), message)
        self.assertNotIn(str(used), message)


class InquiryTests(GoodwillTestCase):
    def test_a_refund_is_asked_for_and_approved_during_an_inquiry(self):
        for approve_first in (False, True):
            paid = self.buy(2)
            dispute = self.stripe.dispute(paid.stripe_payment_intent_id, inquiry=True)["id"]
            if approve_first:
                self.ask(paid)
            services.sync_dispute(dispute)
            refund_id = paid.refunds.get().pk if approve_first else self.ask(paid).json()["id"]
            self.assertBooks(paid, 20, 0, ["disputed refund_pending"] * 2)
            refund = services.approve_refund(refund_id=refund_id, actor=self.staff)
            self.assertEqual(refund.status, "succeeded")
            self.assertBooks(paid, 0, 20, ["refunded disputed"] * 2)
            self.stripe.close_dispute(dispute, "warning_closed")
            services.sync_dispute(dispute)
            self.assertBooks(paid, 0, 20, ["refunded"] * 2)
            message = Email.objects.latest("id").message
            self.assertNotIn("stands", message)
            self.assertNotIn("can be used again", message)

    def test_it_is_refused_once_the_inquiry_has_become_a_chargeback(self):
        paid = self.buy(1)
        dispute = self.stripe.dispute(paid.stripe_payment_intent_id, inquiry=True)["id"]
        services.sync_dispute(dispute)
        refund_id = self.ask(paid).json()["id"]
        self.stripe.escalate_dispute(dispute)
        services.sync_dispute(dispute)
        with self.assertRaises(errors.PaymentDisputed):
            services.approve_refund(refund_id=refund_id, actor=self.staff)
        self.assertProblem(self.ask(paid), 409, "payment_disputed")
        self.assertEqual(self.stripe.refunds(), [])
        self.assertBooks(paid, 10, 0, ["disputed refund_pending"])


class ShownTests(GoodwillTestCase):
    def test_staff_see_the_goodwill_of_a_payment_and_in_the_figures(self):
        paid = self.buy(2)
        self.in_dashboard(paid, 13)
        self.staff.user_permissions.set(Permission.objects.all())
        desk = Client()
        desk.force_login(self.staff)
        page = desk.get(f"/admin/payments/transaction/{paid.pk}/change/")
        self.assertContains(page, "Goodwill")
        self.assertContains(page, "3.00\N{NO-BREAK SPACE}USD")
        api = self.signed_in(self.staff)
        totals = api.get("/api/analytics/dashboard/").json()["totals"]
        self.assertEqual((totals["refunded"], totals["goodwill"]), ("13.00", "3.00"))
        revenue = api.get("/api/analytics/revenue/").json()
        for figures in (revenue["totals"], revenue["daily"][-1], revenue["by_voucher_type"][0]):
            self.assertEqual(
                (figures["gross"], figures["refunded"], figures["goodwill"], figures["net"]),
                ("20.00", "13.00", "3.00", "7.00"),
            )

    def test_the_form_for_refunds_tells_what_is_left(self):
        paid = self.buy(2)
        self.in_dashboard(paid, 4)
        self.staff.user_permissions.set(Permission.objects.all())
        desk = Client()
        desk.force_login(self.staff)
        page = desk.get(f"/admin/payments/transaction/{paid.pk}/refund-unused/")
        self.assertContains(page, "16.00\N{NO-BREAK SPACE}USD")

    def test_the_buyer_is_told_whether_vouchers_are_void_for_it(self):
        paid = self.buy(2)
        self.in_dashboard(paid, 4)
        self.assertIn("stay as they are", Email.objects.latest("id").message)
        self.in_dashboard(paid, 6)
        message = Email.objects.latest("id").message
        self.assertIn(str(paid.vouchers[0]), message)
        self.assertNotIn("stay as they are", message)

    def test_staff_are_told_that_vouchers_stay_void_when_stripe_refuses_what_it_refunded_itself(self):
        paid = self.buy(1)
        refund_id = self.ask(paid).json()["id"]
        self.stripe.refund(paid.stripe_payment_intent_id)
        self.staff.user_permissions.set(Permission.objects.all())
        desk = Client()
        desk.force_login(self.staff)
        with self.assertLogs("apps.payments", "WARNING"):
            page = desk.post(f"/admin/payments/refund/{refund_id}/approve/", {"reason": "Fine"}, follow=True)
        self.assertContains(page, "could not make refund")
        self.assertNotContains(page, "were let go")
        self.assertEqual(RefundedVoucher.objects.filter(live=True).count(), 1)
        messages = Email.objects.filter(to=self.customer.email).values_list("message", flat=True)
        self.assertFalse([text for text in messages if "released" in text])


class RequestFieldTests(GoodwillTestCase):
    def test_a_request_by_http_after_goodwill_never_asks_for_more_than_was_paid(self):
        paid = self.buy(1)
        self.in_dashboard(paid, 9.99)
        answer = self.api.post(REFUND, {"payment_id": paid.pk, "reason": "The rest"})
        self.assertEqual((answer.status_code, answer.json()["amount"]), (201, "0.01"))
        self.assertBooks(paid, Decimal("0.01"), Decimal("9.99"), ["refund_pending"], goodwill=Decimal("9.99"))
