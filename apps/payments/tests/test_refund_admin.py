"""What staff do about refunds and vouchers in the admin."""

import time
from datetime import timedelta
from decimal import Decimal

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.payments import services
from apps.payments.models import Refund
from apps.users.tests.factories import make_user
from apps.vouchers.models import VoucherEvent
from tests.support.cases import ApiTestCase

from .money import PaidTestCase


class StaffTestCase(PaidTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.paid = self.buy(2)
        self.desk = make_user(is_staff=True)
        self.allow("view_refund", "view_transaction", "view_voucher", "view_voucherusage", "view_dispute")
        self.browser = Client()  # which sends forms
        self.browser.force_login(self.desk)

    def allow(self, *codenames):
        self.desk.user_permissions.add(*Permission.objects.filter(codename__in=codenames))

    def act(self, model, action, *rows, **answers):
        """Choose an action for these rows; with answers, its page is filled in and sent."""
        body = {"action": action, "_selected_action": [row.pk for row in rows]}
        if answers:
            body |= {"confirmed": "1", **answers}
        return self.browser.post(reverse(f"admin:{model}_changelist"), body, follow=True)


class RefundActionTests(StaffTestCase):
    def setUp(self):
        super().setUp()
        self.requested = Refund.objects.get(pk=self.ask(self.paid).json()["id"])

    def test_nobody_decides_without_the_permission(self):
        page = self.browser.get(reverse("admin:payments_refund_changelist"))
        self.assertNotContains(page, "Approve and refund")
        self.act("payments_refund", "approve", self.requested, reason="Fine")
        self.assertEqual(Refund.objects.get().status, "requested")

    def test_the_reason_is_asked_for_first_and_only_its_answer_acts(self):
        self.allow("decide_refund")
        page = self.act("payments_refund", "approve", self.requested)
        self.assertContains(page, 'name="reason"')
        self.act("payments_refund", "approve", self.requested, reason=" ")
        self.assertEqual((Refund.objects.get().status, self.stripe.refunds()), ("requested", []))
        self.act("payments_refund", "approve", self.requested, reason="Never used")
        refund = Refund.objects.get()
        self.assertEqual(
            (refund.status, refund.decided_by, refund.decision_note), ("succeeded", self.desk, "Never used")
        )
        self.assertEqual(self.books(self.paid)[:3], ("refunded", Decimal(0), Decimal(20)))
        self.assertIn("Never used", LogEntry.objects.latest("pk").change_message)

    def test_rejecting_lets_go_and_a_second_decision_is_refused(self):
        self.allow("decide_refund")
        self.act("payments_refund", "reject", self.requested, reason="Too late")
        self.assertEqual(self.books(self.paid)[3], ["", ""])
        page = self.act("payments_refund", "approve", self.requested, reason="After all")
        self.assertContains(page, "has been decided already")
        self.assertEqual(self.stripe.refunds(), [])

    def test_while_stripe_is_away_it_stays_approved_and_is_sent_again(self):
        self.allow("decide_refund")
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=503, times=2)
        page = self.act("payments_refund", "approve", self.requested, reason="Fine")
        self.assertContains(page, "does not answer")
        self.assertEqual(Refund.objects.get().status, "approved")
        self.act("payments_refund", "send_again", self.requested, reason="Stripe is back")
        self.assertEqual(Refund.objects.get().status, "succeeded")

    def test_no_page_shows_a_code(self):
        self.stripe.dispute(self.paid.stripe_payment_intent_id)
        self.deliver_all("charge.dispute.created")
        dispute = self.paid.disputes.get()
        for address in (
            reverse("admin:payments_refund_changelist"),
            reverse("admin:payments_refund_change", args=(self.requested.pk,)),
            reverse("admin:payments_dispute_changelist"),
            reverse("admin:payments_dispute_change", args=(dispute.pk,)),
            reverse("admin:payments_transaction_change", args=(self.paid.pk,)),
            reverse("admin:vouchers_voucher_change", args=(self.paid.vouchers[0].pk,)),
        ):
            page = self.browser.get(address)
            self.assertEqual(page.status_code, 200, address)
            for voucher in self.paid.vouchers:
                self.assertNotContains(page, voucher.code)
                self.assertNotContains(page, voucher.shown_code)


class OtherActionTests(StaffTestCase):
    def test_staff_ask_for_a_refund_of_what_was_not_used(self):
        self.allow("make_refund")
        self.redeem(self.paid.vouchers[0])
        self.act("payments_transaction", "refund_unused", self.paid, reason="A double order")
        refund = Refund.objects.get()
        self.assertEqual((refund.origin, refund.amount, refund.status), ("staff", Decimal(10), "requested"))
        self.assertEqual(self.books(self.paid)[3], ["", "refund_pending"])

    def test_vouchers_are_suspended_released_extended_reissued_and_voided(self):
        self.allow("extend_voucher", "suspend_voucher", "void_voucher", "reissue_voucher")
        voucher, other = self.paid.vouchers
        code = voucher.code
        until = (timezone.localdate(voucher.expiry_date) + timedelta(days=10)).isoformat()
        self.act("vouchers_voucher", "suspend", voucher, reason="Odd")
        self.assertProblem(self.redeem(voucher), 409, "voucher_inactive")
        self.act("vouchers_voucher", "release", voucher, reason="Fine")
        self.act("vouchers_voucher", "extend", voucher, until=until, reason="We were closed")
        self.act("vouchers_voucher", "reissue", voucher, reason="Seen by others", opened_at=time.time())
        self.act("vouchers_voucher", "void", other, reason="Misprint")
        self.assertProblem(self.redeem(voucher), 404, "voucher_not_found")
        voucher.refresh_from_db()
        self.assertNotEqual(voucher.code, code)
        self.assertEqual(timezone.localdate(voucher.expiry_date).isoformat(), until)
        self.assertEqual(self.redeem(voucher).status_code, 200)
        self.assertProblem(self.redeem(other), 409, "voucher_inactive")
        events = VoucherEvent.objects.exclude(kind="issued").values_list("kind", "actor", "reason")
        self.assertEqual(
            list(events.order_by("id")),
            [
                ("suspended", self.desk.pk, "Odd"),
                ("released", self.desk.pk, "Fine"),
                ("extended", self.desk.pk, "We were closed"),
                ("reissued", self.desk.pk, "Seen by others"),
                ("voided", self.desk.pk, "Misprint"),
            ],
        )

    def test_without_their_permissions_nothing_happens(self):
        (voucher, _), usage = self.paid.vouchers, None
        self.redeem(voucher)
        usage = voucher.usages.get()
        until = "2099-01-01"
        for action in ("suspend", "release", "extend", "reissue", "void"):
            self.act("vouchers_voucher", action, voucher, until=until, reason="x")
        self.act("vouchers_voucherusage", "reverse", usage, reason="x")
        self.act("payments_transaction", "refund_unused", self.paid, reason="x")
        self.assertEqual(set(VoucherEvent.objects.values_list("kind", flat=True)), {"issued"})
        self.assertEqual(Refund.objects.count(), 0)

    def test_a_use_is_given_back(self):
        self.allow("reverse_usage")
        voucher = self.paid.vouchers[0]
        self.redeem(voucher)
        self.act("vouchers_voucherusage", "reverse", voucher.usages.get(), reason="Wrong desk")
        voucher.refresh_from_db()
        self.assertEqual((voucher.uses_remaining, voucher.uses_reversed), (1, 1))
        self.assertEqual(self.redeem(voucher).status_code, 200)

    def test_nothing_can_be_refunded_twice(self):
        self.allow("make_refund")
        self.ask(self.paid)
        page = self.act("payments_transaction", "refund_unused", self.paid, reason="Again")
        self.assertContains(page, "Nothing of this payment can be refunded")
        self.assertEqual(Refund.objects.count(), 1)
        services.reject_refund(refund_id=Refund.objects.get().pk, actor=self.desk, note="x")
