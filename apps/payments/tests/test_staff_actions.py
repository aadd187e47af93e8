"""Every action that staff have in the admin: who may, that a GET does nothing, and what it leaves behind."""

import time
from datetime import timedelta
from decimal import Decimal

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client, tag
from django.utils import timezone
from post_office.models import Email

from apps.payments.models import Refund
from apps.users.tests.factories import PASSWORD
from apps.vouchers import services as voucher_services
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent
from apps.vouchers.tests.factories import make_voucher

from .staff import REFUNDS, TRANSACTIONS, USAGES, VOUCHERS, StaffTestCase


@tag("slow")
class EveryActionTests(StaffTestCase):
    def test_without_its_permission_it_is_not_offered_and_forbidden(self):
        before = self.state()
        for screen, action, path, row, _, extra in self.actions:
            address = f"{screen}{row.pk}/{path}/"
            with self.subTest(screen + action):
                self.assertNotContains(self.client.get(screen), f'value="{action}"')
                self.assertNotContains(self.client.get(f"{screen}{row.pk}/change/"), f'href="{address}"')
                answers = {"reason": "x", **extra}
                for response in (
                    self.client.get(address),
                    self.client.post(address, answers),
                    self.choose(screen, action, row),
                    self.choose(screen, action, row, confirmed="yes", **answers),
                ):
                    self.assertEqual(response.status_code, 403)
                self.assertEqual(self.state(), before)

    def test_the_permission_alone_without_that_to_look_is_not_enough(self):
        self.desk.user_permissions.set(
            Permission.objects.filter(codename__in={permission for *_, permission, _ in self.actions})
        )
        before = self.state()
        for screen, action, path, row, _, extra in self.actions:
            with self.subTest(screen + action):
                answers = {"reason": "x", **extra}
                self.assertEqual(self.client.post(f"{screen}{row.pk}/{path}/", answers).status_code, 403)
                response = self.choose(screen, action, row, confirmed="yes", **answers)
                self.assertEqual(response.status_code, 403)
        self.assertEqual(self.state(), before)

    def test_it_is_offered_asks_first_and_does_nothing_on_get_or_without_a_reason(self):
        self.allow(*(permission for *_, permission, _ in self.actions))
        voucher_services.suspend_vouchers([self.third.pk], actor=self.desk, reason="x")
        before = self.state()
        for screen, action, path, row, _, extra in self.actions:
            row = self.third if action == "release" else row
            address = f"{screen}{row.pk}/{path}/"
            with self.subTest(screen + action):
                self.assertContains(self.client.get(screen), f'value="{action}"')
                self.assertContains(self.client.get(f"{screen}{row.pk}/change/"), f'href="{address}"')
                for response in (
                    self.client.get(address),
                    self.client.get(address, {"reason": "x", "confirmed": "yes", **extra}),
                    self.client.post(address, {"reason": "  ", **extra}),
                    self.client.post(address, {"reason": "x" * 501, **extra}),
                    self.client.post(address, {"reason": "a\0b", **extra}),
                    self.choose(screen, action, row),
                    self.choose(screen, action, row, reason="x", **extra),
                    self.choose(screen, action, row, confirmed="yes", reason="", **extra),
                ):
                    self.assertContains(response, 'name="reason"')
                    self.assertTellsNoCode(response)
                self.assertEqual(self.state(), before)

    def test_it_needs_the_token_of_its_own_page(self):
        self.allow(*(permission for *_, permission, _ in self.actions))
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.desk)
        before = self.state()
        for screen, action, path, row, _, extra in self.actions:
            answers = {"reason": "x", **extra}
            chosen = {"action": action, "_selected_action": [row.pk], "confirmed": "yes", **answers}
            for address, body in ((f"{screen}{row.pk}/{path}/", answers), (screen, chosen)):
                self.assertEqual(strict.post(address, body).status_code, 403, address)
        self.assertEqual(self.state(), before)

    def test_rows_that_are_none_are_refused_and_never_a_crash(self):
        self.allow(*(permission for *_, permission, _ in self.actions))
        before = self.state()
        for screen, action, path, _, _, extra in self.actions:
            for number in ("x", "-1", "9" * 30, "\u0663", "\0"):
                body = {
                    "action": action,
                    "_selected_action": number,
                    "confirmed": "yes",
                    "reason": "x",
                    **extra,
                }
                self.assertEqual(self.client.post(screen, body).status_code, 400, number)
            for number in ("x", "999999", "9" * 30):
                response = self.client.post(f"{screen}{number}/{path}/", {"reason": "x", **extra})
                self.assertEqual(response.status_code, 302, number)
        self.assertEqual(self.state(), before)


class VoucherActionTests(StaffTestCase):
    def setUp(self):
        super().setUp()
        self.allow("extend_voucher", "suspend_voucher", "void_voucher", "reissue_voucher")

    def test_from_its_page_it_is_recorded_with_who_and_why(self):
        response = self.client.post(
            f"{VOUCHERS}{self.voucher.pk}/suspend/", {"reason": " Reported as stolen "}
        )
        self.assertRedirects(response, f"{VOUCHERS}{self.voucher.pk}/change/")
        self.assertProblem(self.redeem(self.voucher), 409, "voucher_inactive")
        event = VoucherEvent.objects.latest("pk")
        self.assertEqual(
            (event.kind, event.hold, event.actor, event.reason),
            ("suspended", "suspended", self.desk, "Reported as stolen"),
        )
        entry = LogEntry.objects.get()
        self.assertEqual((entry.user, entry.object_id), (self.desk, str(self.voucher.pk)))
        self.assertEqual(entry.change_message, "Suspended: Reported as stolen")

    def test_several_at_once_and_what_is_refused_does_not_stop_the_others(self):
        voucher_services.void_vouchers([self.voucher.pk], actor=self.desk, reason="Misprint")
        last = max(voucher.expiry_date for voucher in Voucher.objects.all())
        until = (timezone.localdate(last) + timedelta(days=5)).isoformat()
        response = self.choose(
            VOUCHERS,
            "extend",
            self.voucher,
            self.third,
            self.used,
            confirmed="yes",
            reason="Closed",
            until=until,
        )
        refused, done = self.messages_after(response)
        self.assertEqual(done, "Extended: 2.")
        self.assertIn(f"{self.voucher}, {self.type.name}", refused)
        self.assertIn("This voucher is not active.", refused)
        for voucher, is_extended in ((self.voucher, False), (self.third, True), (self.used, True)):
            voucher.refresh_from_db()
            self.assertEqual(timezone.localdate(voucher.expiry_date).isoformat() == until, is_extended)
        self.assertEqual(VoucherEvent.objects.filter(kind="extended").count(), 2)

    def test_what_is_so_already_is_told_and_recorded_nowhere(self):
        response = self.choose(VOUCHERS, "release", self.voucher, confirmed="yes", reason="x")
        self.assertEqual(self.messages_after(response), ["Nothing to do: 1."])
        self.assertEqual(
            (VoucherEvent.objects.filter(kind="released").count(), LogEntry.objects.count()), (0, 0)
        )

    def test_days_that_no_voucher_may_have_are_refused(self):
        before = self.state()
        for until in ("", "x", "0001-01-01", "9999-12-31", "2026-02-30", timezone.localdate().isoformat()):
            body = {"reason": "x", "until": until}
            response = self.client.post(f"{VOUCHERS}{self.voucher.pk}/extend/", body)
            self.assertContains(response, 'name="until"')
        tomorrow = (timezone.localdate() + timedelta(days=1)).isoformat()
        body = {"reason": "x", "until": tomorrow}
        page = self.client.post(f"{VOUCHERS}{self.voucher.pk}/extend/", body)
        self.assertContains(page, "It is valid until")
        [refused] = self.messages_after(
            self.choose(VOUCHERS, "extend", self.voucher, confirmed="yes", **body)
        )
        self.assertIn("The new day must be after", refused)
        self.assertEqual(self.state()[0][:4], before[0][:4])

    def test_a_new_code_goes_to_the_owner_and_onto_no_page(self):
        Email.objects.all().delete()
        before = self.voucher.shown_code
        address = f"{VOUCHERS}{self.voucher.pk}/reissue/"
        response = self.client.post(address, {"reason": "Seen by others", "opened_at": time.time()})
        self.voucher.refresh_from_db()
        self.assertNotEqual(self.voucher.shown_code, before)
        self.assertTellsNoCode(self.client.get(response.headers["Location"]))
        mail = Email.objects.get()
        self.assertEqual(mail.to, [self.customer.email])
        for text in (mail.message, mail.html_message):
            self.assertIn(self.voucher.shown_code, text)
            self.assertNotIn(before, text)
            self.assertIn(f"····-{before[-4:]}", text)

    def test_the_same_page_sent_twice_makes_one_new_code(self):
        address = f"{VOUCHERS}{self.voucher.pk}/reissue/"
        body = {"reason": "x", "opened_at": self.client.get(address).context["form"]["opened_at"].value()}
        self.assertEqual(self.messages_after(self.client.post(address, body)), ["Reissued: 1."])
        code = Voucher.objects.get(pk=self.voucher.pk).code
        [refused] = self.messages_after(self.client.post(address, body))
        self.assertIn("got a new code a moment ago", refused)
        self.assertEqual(Voucher.objects.get(pk=self.voucher.pk).code, code)
        for wrong in ("", "x", "-1", "1e400", "nan", 2**33):
            self.assertEqual(self.client.post(address, {**body, "opened_at": wrong}).status_code, 200)
        self.assertEqual(Voucher.objects.get(pk=self.voucher.pk).code, code)

    def test_a_closed_account_gets_no_code_that_nobody_would_learn(self):
        self.api.delete("/api/users/profile/", {"password": PASSWORD})
        code = Voucher.objects.get(pk=self.voucher.pk).code
        body = {"reason": "x", "opened_at": time.time()}
        [refused] = self.messages_after(self.client.post(f"{VOUCHERS}{self.voucher.pk}/reissue/", body))
        self.assertIn("account is closed", refused)
        self.assertEqual(Voucher.objects.get(pk=self.voucher.pk).code, code)

    def test_a_code_that_somebody_writes_into_the_reason_is_kept_nowhere(self):
        typed = f"Instead of {self.third.shown_code}, or {self.third.code.lower()}"
        self.client.post(f"{VOUCHERS}{self.voucher.pk}/suspend/", {"reason": typed})
        [reason] = VoucherEvent.objects.filter(kind="suspended").values_list("reason", flat=True)
        for text in (reason, LogEntry.objects.get().change_message):
            self.assertNotIn(self.third.shown_code[:14], text)
            self.assertNotIn(self.third.code[:12].lower(), text)
            self.assertIn(self.third.code[-4:], text)

    def test_a_search_for_a_code_leaves_it_out_of_the_page_that_asks(self):
        body = {"action": "suspend", "_selected_action": [self.voucher.pk]}
        response = self.client.post(f"{VOUCHERS}?q={self.voucher.shown_code}", body)
        self.assertContains(response, 'name="reason"')
        self.assertTellsNoCode(response)

    def test_more_than_a_hundred_at_once_are_refused(self):
        voucher_services.issue_vouchers(
            voucher_type_id=self.type.pk,
            owner_id=self.customer.pk,
            quantity=101,
            terms=voucher_services.terms_of(self.type),
            issued_at=timezone.now(),
        )
        response = self.choose(VOUCHERS, "void", *Voucher.objects.all(), confirmed="yes", reason="x")
        self.assertEqual(self.messages_after(response), ["At most 100 at once. Nothing was done."])
        self.assertFalse(VoucherEvent.objects.filter(kind="voided").exists())

    def test_a_redemption_while_the_page_is_open_stays(self):
        address = f"{VOUCHERS}{self.voucher.pk}/suspend/"
        self.client.get(address)
        self.redeem(self.voucher)
        self.client.post(address, {"reason": "x"})
        self.voucher.refresh_from_db()
        self.assertEqual((self.voucher.uses_remaining, self.voucher.holds), (2, "suspended"))


class UsageActionTests(StaffTestCase):
    def test_a_use_is_given_back_once_and_tells_by_whom(self):
        self.allow("reverse_usage")
        address = f"{USAGES}{self.usage.pk}/reverse/"
        self.assertEqual(
            self.messages_after(self.client.post(address, {"reason": "Wrong desk"})), ["Given back: 1."]
        )
        self.used.refresh_from_db()
        self.assertEqual((self.used.uses_remaining, self.used.uses_reversed), (3, 1))
        [refused] = self.messages_after(self.client.post(address, {"reason": "Wrong desk"}))
        self.assertIn("given back before", refused)
        self.assertEqual(UsageReversal.objects.count(), 1)
        for page in (f"{USAGES}{self.usage.pk}/change/", f"{VOUCHERS}{self.used.pk}/change/"):
            self.assertContains(self.client.get(page), f"by {self.desk}")
        self.assertContains(self.client.get(USAGES, {"given_back": "yes"}), f"by {self.desk}")
        self.assertNotContains(self.client.get(USAGES, {"given_back": "no"}), f"by {self.desk}")


class RefundActionTests(StaffTestCase):
    def test_who_may_only_make_refunds_asks_and_another_decides(self):
        self.allow("make_refund")
        response = self.client.post(
            f"{TRANSACTIONS}{self.paid.pk}/refund-unused/", {"reason": "Double order"}
        )
        self.assertEqual(self.messages_after(response), ["Refund asked for: 1."])
        refund = Refund.objects.get(transaction=self.paid)
        self.assertEqual(
            (refund.status, refund.origin, refund.amount, refund.requested_by, refund.reason),
            ("requested", "staff", Decimal(20), self.desk, "Double order"),
        )
        self.assertEqual(self.books(self.paid)[3], ["", "refund_pending", "refund_pending"])
        self.assertEqual(self.stripe.refunds(), [])
        self.assertEqual(Email.objects.latest("id").subject, "A refund for you")

    def test_who_may_do_both_gives_the_money_back_at_once_and_never_twice(self):
        self.allow("make_refund", "decide_refund")
        address = f"{TRANSACTIONS}{self.paid.pk}/refund-unused/"
        self.assertContains(self.client.get(address), "2 of 3 vouchers, 20.00\N{NO-BREAK SPACE}USD")
        self.assertEqual(
            self.messages_after(self.client.post(address, {"reason": "Double order"})), ["Refunded: 1."]
        )
        self.assertEqual(
            self.books(self.paid), ("completed", Decimal(0), Decimal(20), ["", "refunded", "refunded"])
        )
        mails = Email.objects.filter(message__contains=f"Purchase {self.paid.pk}: ")
        self.assertEqual([mail.subject for mail in mails], ["Your refund has been made"])
        [refused] = self.messages_after(self.client.post(address, {"reason": "Double order"}))
        self.assertIn("Nothing of this payment can be refunded", refused)
        self.assertEqual(len(self.stripe.refunds()), 1)

    def test_chosen_vouchers_go_back_in_one_refund_of_each_payment(self):
        self.allow("make_refund", "decide_refund")
        third = self.buy(1)
        free = make_voucher(owner=self.customer, voucher_type=self.type)
        chosen = (self.voucher, *third.vouchers, free)
        page = self.choose(VOUCHERS, "refund", *chosen)
        self.assertContains(page, f"{self.voucher} of transaction {self.paid.pk}: 10.00\N{NO-BREAK SPACE}USD")
        refused, done = self.messages_after(
            self.choose(VOUCHERS, "refund", *chosen, confirmed="yes", reason="x")
        )
        self.assertEqual(done, "Refunded: 2.")
        self.assertIn("which was not bought", refused)
        self.assertEqual(self.books(self.paid)[3], ["", "refunded", ""])
        self.assertEqual(self.books(third)[0], "refunded")
        self.assertEqual(len(self.stripe.refunds()), 2)
        free.refresh_from_db()
        self.assertEqual(free.holds, "")

    def test_one_used_voucher_among_the_chosen_of_a_payment_stops_its_refund(self):
        self.allow("make_refund", "decide_refund")
        before = self.books(self.paid)
        [refused] = self.messages_after(
            self.choose(VOUCHERS, "refund", self.used, self.voucher, confirmed="yes", reason="x")
        )
        self.assertIn("Nothing of this payment can be refunded", refused)
        self.assertEqual((self.books(self.paid), self.stripe.refunds()), (before, []))

    def test_a_reason_longer_than_a_refund_holds_is_refused(self):
        self.allow("make_refund")
        response = self.client.post(f"{TRANSACTIONS}{self.paid.pk}/refund-unused/", {"reason": "x" * 201})
        self.assertContains(response, 'name="reason"')
        self.assertEqual(Refund.objects.count(), 1)

    def test_while_stripe_is_away_it_stays_approved_and_is_sent_again_once(self):
        self.allow("decide_refund")
        self.stripe.add_fault(method="POST", path="/v1/refunds", status=503, times=2)
        [message] = self.messages_after(
            self.client.post(f"{REFUNDS}{self.requested_refund.pk}/approve/", {"reason": "Fine"})
        )
        self.assertIn("It stays approved", message)
        self.assertEqual(Refund.objects.get(pk=self.requested_refund.pk).status, "approved")
        self.assertIn("did not answer", LogEntry.objects.get().change_message)
        self.client.get(f"{REFUNDS}{self.requested_refund.pk}/send-again/")
        self.assertEqual(self.stripe.refunds(), [])
        for expected in ("Refunded: 1.", "Nothing to do: 1."):
            response = self.client.post(f"{REFUNDS}{self.requested_refund.pk}/send-again/")
            self.assertEqual(self.messages_after(response), [expected])
        self.assertEqual(len(self.stripe.refunds()), 1)
        self.assertEqual(self.books(self.other)[0], "refunded")

    def test_what_stripe_refuses_is_told(self):
        self.allow("decide_refund")
        self.stripe.refund(self.other.stripe_payment_intent_id)
        [message] = self.messages_after(
            self.client.post(f"{REFUNDS}{self.requested_refund.pk}/approve/", {"reason": "Fine"})
        )
        self.assertIn("Stripe could not make refund", message)

    def test_the_note_of_a_decision_is_kept_and_the_second_decision_refused(self):
        self.allow("decide_refund")
        response = self.client.post(f"{REFUNDS}{self.requested_refund.pk}/reject/", {"reason": "Too late"})
        self.assertEqual(self.messages_after(response), ["Rejected: 1."])
        self.requested_refund.refresh_from_db()
        self.assertEqual(
            (
                self.requested_refund.status,
                self.requested_refund.decided_by,
                self.requested_refund.decision_note,
            ),
            ("rejected", self.desk, "Too late"),
        )
        [refused] = self.messages_after(
            self.client.post(f"{REFUNDS}{self.requested_refund.pk}/approve/", {"reason": "Yet"})
        )
        self.assertIn("decided already", refused)
        self.assertEqual((self.books(self.other)[3], self.stripe.refunds()), (["", ""], []))
