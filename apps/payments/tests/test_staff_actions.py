"""Every action that staff have in the admin: who may, that a GET does nothing, and what it leaves behind."""

import threading
import time
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from unittest import skipUnless

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client, tag
from django.utils import timezone
from post_office.models import Email

from apps.payments.models import Dispute, Refund, Transaction
from apps.users.tests.factories import PASSWORD, make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase, RaceTestCase

from .money import REFUND, PaidTestCase

VOUCHERS = "/admin/vouchers/voucher/"
USAGES = "/admin/vouchers/voucherusage/"
HISTORY = "/admin/vouchers/voucherevent/"
TRANSACTIONS = "/admin/payments/transaction/"
REFUNDS = "/admin/payments/refund/"
DISPUTES = "/admin/payments/dispute/"
VIEWS = (
    "view_voucher view_voucherusage view_voucherevent view_transaction view_soldvoucher view_refund"
    " view_refundedvoucher view_dispute"
).split()


class StaffTestCase(PaidTestCase, ApiTestCase):
    """`desk` may look at everything, and do what a test lets them. There is a voucher used and one that is not."""

    client_class: Any = Client  # it speaks as a browser does

    def setUp(self):
        super().setUp()
        self.type = make_type(max_uses=3)
        self.paid = self.buy(3)
        self.used, self.voucher, self.third = self.paid.vouchers
        self.redeem(self.used)
        self.usage = VoucherUsage.objects.get()
        self.other = self.buy(2)
        self.asked = Refund.objects.get(pk=self.ask(self.other).json()["id"])
        self.desk = make_user(is_staff=True, email="desk@example.org")
        self.allow(*VIEWS)
        self.client.force_login(self.desk)
        later = timezone.localdate(self.voucher.expiry_date) + timedelta(days=10)
        # Where it is, its address, whom it is for, its permission, and what it asks besides the reason.
        self.actions: Any = (
            (VOUCHERS, "extend", "extend", self.voucher, "extend_voucher", {"until": later.isoformat()}),
            (VOUCHERS, "suspend", "suspend", self.voucher, "suspend_voucher", {}),
            (VOUCHERS, "release", "release", self.voucher, "suspend_voucher", {}),
            (VOUCHERS, "reissue", "reissue", self.voucher, "reissue_voucher", {"opened_at": time.time()}),
            (VOUCHERS, "void", "void", self.voucher, "void_voucher", {}),
            (VOUCHERS, "refund", "refund", self.third, "make_refund", {}),
            (USAGES, "reverse", "reverse", self.usage, "reverse_usage", {}),
            (TRANSACTIONS, "refund_unused", "refund-unused", self.paid, "make_refund", {}),
            (REFUNDS, "approve", "approve", self.asked, "decide_refund", {}),
            (REFUNDS, "reject", "reject", self.asked, "decide_refund", {}),
        )

    def allow(self, *codenames):
        self.desk.user_permissions.add(*Permission.objects.filter(codename__in=codenames))

    def choose(self, screen, action, *rows, **answers):
        body = {"action": action, "_selected_action": [row.pk for row in rows], **answers}
        return self.client.post(screen, body)

    def told(self, response):
        """What the messages say after the redirect."""
        self.assertEqual(response.status_code, 302, response.content[:300])
        page = self.client.get(response.headers["Location"])
        return [str(message) for message in page.context["messages"]]

    def state(self):
        models: Any = (
            Voucher,
            VoucherUsage,
            UsageReversal,
            VoucherEvent,
            Transaction,
            Refund,
            LogEntry,
            Email,
        )
        return [list(model.objects.order_by("pk").values()) for model in models], self.stripe.refunds()

    def assertTellsNoCode(self, response):
        page = response.content.decode().upper()
        for voucher in Voucher.objects.all():
            self.assertNotIn(voucher.code, page)
            self.assertNotIn(voucher.shown_code, page)


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
        before = self.state()
        for screen, action, path, row, _, extra in self.actions:
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
        refused, done = self.told(response)
        self.assertEqual(done, "Extended: 2.")
        self.assertIn(f"{self.voucher}, {self.type.name}", refused)
        self.assertIn("This voucher is not active.", refused)
        for voucher, wanted in ((self.voucher, False), (self.third, True), (self.used, True)):
            voucher.refresh_from_db()
            self.assertEqual(timezone.localdate(voucher.expiry_date).isoformat() == until, wanted)
        self.assertEqual(VoucherEvent.objects.filter(kind="extended").count(), 2)

    def test_what_is_so_already_is_told_and_recorded_nowhere(self):
        response = self.choose(VOUCHERS, "release", self.voucher, confirmed="yes", reason="x")
        self.assertEqual(self.told(response), ["Nothing to do: 1."])
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
        [refused] = self.told(self.client.post(f"{VOUCHERS}{self.voucher.pk}/extend/", body))
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
        self.assertEqual(self.told(self.client.post(address, body)), ["Reissued: 1."])
        code = Voucher.objects.get(pk=self.voucher.pk).code
        [refused] = self.told(self.client.post(address, body))
        self.assertIn("got a new code a moment ago", refused)
        self.assertEqual(Voucher.objects.get(pk=self.voucher.pk).code, code)
        for wrong in ("", "x", "-1", "1e400", "nan", 2**33):
            self.assertEqual(self.client.post(address, {**body, "opened_at": wrong}).status_code, 200)
        self.assertEqual(Voucher.objects.get(pk=self.voucher.pk).code, code)

    def test_a_closed_account_gets_no_code_that_nobody_would_learn(self):
        self.api.delete("/api/users/profile/", {"password": PASSWORD})
        code = Voucher.objects.get(pk=self.voucher.pk).code
        body = {"reason": "x", "opened_at": time.time()}
        [refused] = self.told(self.client.post(f"{VOUCHERS}{self.voucher.pk}/reissue/", body))
        self.assertIn("account is closed", refused)
        self.assertEqual(Voucher.objects.get(pk=self.voucher.pk).code, code)

    def test_a_code_that_somebody_writes_into_the_reason_is_kept_nowhere(self):
        typed = f"Instead of {self.third.shown_code}, or {self.third.code.lower()}"
        self.client.post(f"{VOUCHERS}{self.voucher.pk}/suspend/", {"reason": typed})
        [reason] = VoucherEvent.objects.filter(kind="suspended").values_list("reason", flat=True)
        for kept in (reason, LogEntry.objects.get().change_message):
            self.assertNotIn(self.third.shown_code[:14], kept)
            self.assertNotIn(self.third.code[:12].lower(), kept)
            self.assertIn(self.third.code[-4:], kept)

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
        self.assertEqual(self.told(response), ["At most 100 at once. Nothing was done."])
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
        self.assertEqual(self.told(self.client.post(address, {"reason": "Wrong desk"})), ["Given back: 1."])
        self.used.refresh_from_db()
        self.assertEqual((self.used.uses_remaining, self.used.uses_reversed), (3, 1))
        [refused] = self.told(self.client.post(address, {"reason": "Wrong desk"}))
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
        self.assertEqual(self.told(response), ["Refund asked for: 1."])
        made = Refund.objects.get(transaction=self.paid)
        self.assertEqual(
            (made.status, made.origin, made.amount, made.requested_by, made.reason),
            ("requested", "staff", Decimal(20), self.desk, "Double order"),
        )
        self.assertEqual(self.books(self.paid)[3], ["", "refund_pending", "refund_pending"])
        self.assertEqual(self.stripe.refunds(), [])

    def test_who_may_do_both_gives_the_money_back_at_once_and_never_twice(self):
        self.allow("make_refund", "decide_refund")
        address = f"{TRANSACTIONS}{self.paid.pk}/refund-unused/"
        self.assertContains(self.client.get(address), "2 of 3 vouchers, 20.00\N{NO-BREAK SPACE}USD")
        self.assertEqual(self.told(self.client.post(address, {"reason": "Double order"})), ["Refunded: 1."])
        self.assertEqual(
            self.books(self.paid), ("completed", Decimal(0), Decimal(20), ["", "refunded", "refunded"])
        )
        [refused] = self.told(self.client.post(address, {"reason": "Double order"}))
        self.assertIn("Nothing of this payment can be refunded", refused)
        self.assertEqual(len(self.stripe.refunds()), 1)

    def test_chosen_vouchers_go_back_in_one_refund_of_each_payment(self):
        self.allow("make_refund", "decide_refund")
        third = self.buy(1)
        free = make_voucher(owner=self.customer, voucher_type=self.type)
        chosen = (self.voucher, *third.vouchers, free)
        page = self.choose(VOUCHERS, "refund", *chosen)
        self.assertContains(page, f"{self.voucher} of transaction {self.paid.pk}: 10.00\N{NO-BREAK SPACE}USD")
        refused, done = self.told(self.choose(VOUCHERS, "refund", *chosen, confirmed="yes", reason="x"))
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
        [refused] = self.told(
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
        [told] = self.told(self.client.post(f"{REFUNDS}{self.asked.pk}/approve/", {"reason": "Fine"}))
        self.assertIn("It stays approved", told)
        self.assertEqual(Refund.objects.get(pk=self.asked.pk).status, "approved")
        self.assertIn("did not answer", LogEntry.objects.get().change_message)
        self.client.get(f"{REFUNDS}{self.asked.pk}/send-again/")
        self.assertEqual(self.stripe.refunds(), [])
        for expected in ("Refunded: 1.", "Nothing to do: 1."):
            response = self.client.post(f"{REFUNDS}{self.asked.pk}/send-again/")
            self.assertEqual(self.told(response), [expected])
        self.assertEqual(len(self.stripe.refunds()), 1)
        self.assertEqual(self.books(self.other)[0], "refunded")

    def test_what_stripe_refuses_is_told(self):
        self.allow("decide_refund")
        self.stripe.refund(self.other.stripe_payment_intent_id)
        [told] = self.told(self.client.post(f"{REFUNDS}{self.asked.pk}/approve/", {"reason": "Fine"}))
        self.assertIn("Stripe could not make refund", told)

    def test_the_note_of_a_decision_is_kept_and_the_second_decision_refused(self):
        self.allow("decide_refund")
        response = self.client.post(f"{REFUNDS}{self.asked.pk}/reject/", {"reason": "Too late"})
        self.assertEqual(self.told(response), ["Rejected: 1."])
        self.asked.refresh_from_db()
        self.assertEqual(
            (self.asked.status, self.asked.decided_by, self.asked.decision_note),
            ("rejected", self.desk, "Too late"),
        )
        [refused] = self.told(self.client.post(f"{REFUNDS}{self.asked.pk}/approve/", {"reason": "Yet"}))
        self.assertIn("decided already", refused)
        self.assertEqual((self.books(self.other)[3], self.stripe.refunds()), (["", ""], []))


@tag("slow")
class ScreenTests(StaffTestCase):
    def setUp(self):
        super().setUp()
        self.dispute = Dispute.objects.create(
            stripe_dispute_id="dp_1",
            transaction=self.paid,
            amount=30,
            stripe_status="needs_response",
            opened_at=timezone.now(),
        )
        self.event = VoucherEvent.objects.filter(voucher=self.voucher).latest("pk")
        self.rows = (
            (VOUCHERS, self.voucher),
            (USAGES, self.usage),
            (HISTORY, self.event),
            (TRANSACTIONS, self.paid),
            (REFUNDS, self.asked),
            (DISPUTES, self.dispute),
        )

    def test_no_page_tells_a_code_to_whoever_may_do_everything(self):
        self.desk.user_permissions.set(Permission.objects.all())
        for screen, row in self.rows:
            code = self.voucher.shown_code
            for address in (
                screen,
                f"{screen}?q={code}",
                f"{screen}{row.pk}/change/",
                f"{screen}{row.pk}/history/",
            ):
                response = self.client.get(address)
                self.assertEqual(response.status_code, 200, address)
                self.assertTellsNoCode(response)
        for screen, _, path, row, *_ in self.actions:
            self.assertTellsNoCode(self.client.get(f"{screen}{row.pk}/{path}/"))

    def test_no_page_tells_a_code_that_a_customer_wrote(self):
        written = f"Instead of {self.third.shown_code}"
        Dispute.objects.update(outcome="won", closed_at=timezone.now())
        asked = self.api.post(REFUND, {"payment_id": self.paid.pk, "reason": written, "notes": written})
        self.assertEqual(asked.status_code, 201)
        body = {"code": self.buy(1).vouchers[0].code, "details": {"note": written, "name": "<b>"}}
        self.assertEqual(self.api.post("/api/vouchers/redeem/", body).status_code, 200)
        usage = VoucherUsage.objects.latest("pk")
        for address in (
            f"{REFUNDS}{asked.json()['id']}/change/",
            f"{TRANSACTIONS}{self.paid.pk}/change/",
            f"{USAGES}{usage.pk}/change/",
            f"{VOUCHERS}{usage.voucher_id}/change/",
        ):
            page = self.client.get(address)

            self.assertContains(page, f"Instead of ***{self.third.code[-4:]}")
            self.assertTellsNoCode(page)

    def test_dates_that_there_are_not_are_refused_and_never_a_crash(self):
        self.desk.user_permissions.set(Permission.objects.all())
        for address in (
            "/admin/vouchers/batch/?created_at__year__gt=99999999999999",
            f"{HISTORY}?at__year=999999999",
            f"{REFUNDS}?created_at__month=x",
            "/admin/users/user/?date_joined__year=999999999",
            "/admin/users/user/?date_joined__year__gte=9" + "9" * 30,
        ):
            logged = self.assertLogs("django.security.DisallowedModelAdminLookup", "ERROR")
            with self.subTest(address), logged:
                self.assertEqual(self.client.get(address).status_code, 400)

    def test_nobody_adds_changes_or_deletes_what_services_write(self):
        self.desk.user_permissions.set(Permission.objects.all())
        before = self.state()
        change = {
            "status": "succeeded",
            "amount": "1",
            "reason": "x",
            "kind": "issued",
            "uses_remaining": "9",
        }
        for screen, row in self.rows:
            for address in (f"{screen}add/", f"{screen}{row.pk}/change/", f"{screen}{row.pk}/delete/"):
                self.assertEqual(
                    self.client.post(address, {**change, "post": "yes"}).status_code, 403, address
                )
            self.choose(screen, "delete_selected", row, post="yes")
        self.assertEqual(self.state(), before)

    def test_an_address_with_a_nul_is_refused_and_never_a_crash(self):
        for address in (
            f"{VOUCHERS}?inactive_reason__exact=%00",
            f"{HISTORY}?kind__exact=a%00b",
            f"{VOUCHERS}?q=%00",
            "/admin/autocomplete/?app_label=vouchers&model_name=batch&field_name=owner&term=%00",
        ):
            with self.subTest(address):
                self.assertEqual(self.client.get(address).status_code, 400)

    def test_the_address_asks_for_no_more_than_the_page_offers(self):
        for address in (
            f"{HISTORY}?voucher__code__startswith=A",
            f"{HISTORY}?actor__password__startswith=p",
            f"{REFUNDS}?lines__voucher__code__startswith=A",
            f"{REFUNDS}?requested_by__password__startswith=p",
            f"{DISPUTES}?transaction__user__password__startswith=p",
        ):
            with (
                self.subTest(address),
                self.assertLogs("django.security.DisallowedModelAdminLookup", "ERROR"),
            ):
                self.assertEqual(self.client.get(address).status_code, 400)

    def test_pages_link_to_each_other_and_tell_each_hold(self):
        voucher_services.suspend_vouchers([self.voucher.pk], actor=self.desk, reason="Odd")
        page = self.client.get(f"{VOUCHERS}{self.voucher.pk}/change/")
        for told in (f'href="{TRANSACTIONS}{self.paid.pk}/change/"', "Suspended", "Odd", str(self.desk)):
            self.assertContains(page, told)
        page = self.client.get(f"{VOUCHERS}{self.used.pk}/change/")
        self.assertContains(page, f'href="{USAGES}{self.usage.pk}/change/"')
        page = self.client.get(f"{TRANSACTIONS}{self.other.pk}/change/")
        self.assertContains(page, f'href="{REFUNDS}{self.asked.pk}/change/"')
        page = self.client.get(f"{TRANSACTIONS}{self.paid.pk}/change/")
        self.assertContains(page, f'href="{DISPUTES}{self.dispute.pk}/change/"')
        page = self.client.get(f"{REFUNDS}{self.asked.pk}/change/")
        self.assertContains(page, f'href="{TRANSACTIONS}{self.other.pk}/change/"')

    def test_a_search_finds_by_each_thing_that_it_names_and_by_nothing_else(self):
        person, code = self.customer.email, self.voucher.shown_code
        ending = code[-4:].lower()
        for screen, row, typed in (
            (VOUCHERS, self.voucher, (person, person[1:5], code, ending, f" ····-{ending} ")),
            (USAGES, self.usage, (person, self.used.code, self.used.code[-4:])),
            (HISTORY, self.event, (person, code, ending)),
            (TRANSACTIONS, self.paid, (person, str(self.paid.pk), self.paid.stripe_payment_intent_id, code)),
            (REFUNDS, self.asked, (person, str(self.asked.pk), self.other.vouchers[0].code)),
            (DISPUTES, self.dispute, (person, "dp_1", str(self.paid.pk), code, ending)),
        ):
            for words in typed:
                with self.subTest(screen, words=words):
                    self.assertIn(row, self.client.get(screen, {"q": words}).context["cl"].result_list)
            for words in ("nobody@", "\u0663", "9" * 19, "9" * 20, "9" * 5000, f"····-{person[:4]}", "%"):
                with self.subTest(screen, words=words[:30]):
                    found = self.client.get(screen, {"q": words}).context["cl"].result_list
                    self.assertEqual(list(found), [])

    def test_events_are_found_by_code_and_kind(self):
        found = self.client.get(HISTORY, {"q": self.voucher.shown_code}).context["cl"].result_list
        self.assertEqual({event.voucher_id for event in found}, {self.voucher.pk})
        found = self.client.get(HISTORY, {"kind__exact": "held"}).context["cl"].result_list
        self.assertEqual({event.kind for event in found}, {"held"})


class EditAndRedeemRaces(PaidTestCase, RaceTestCase):
    """Staff act on a voucher while others redeem it: no use is lost, and none is won."""

    def setUp(self):
        super().setUp()
        self.type = make_type(max_uses=8)

    def race(self, act):
        """The uses that are left, and those that should be, after four redemptions at the instant of `act`."""
        voucher = make_voucher(owner=self.customer, voucher_type=self.type)
        clients = [self.signed_in(make_user()) for _ in range(4)]
        body = {"code": voucher.code}
        calls = [partial(client.post, "/api/vouchers/redeem/", body) for client in clients]
        self.together(*calls, partial(act, voucher))
        voucher.refresh_from_db()
        return voucher.uses_remaining, 8 - VoucherUsage.objects.filter(voucher=voucher).count()

    def test_no_action_overwrites_the_counter(self):
        desk = Client()
        desk.force_login(self.staff)
        until = (timezone.localdate() + timedelta(days=700)).isoformat()
        for number in range(self.rounds):
            action = ("extend", "suspend")[number % 2]

            def act(voucher, action=action):
                return desk.post(f"{VOUCHERS}{voucher.pk}/{action}/", {"reason": "x", "until": until})

            left, expected = self.race(act)
            self.assertEqual(left, expected)

    @skipUnless(connection.vendor == "postgresql", "SQLite locks no rows")
    def test_a_row_that_is_busy_is_told_and_the_others_are_done(self):
        busy, free = (make_voucher(owner=self.customer, voucher_type=self.type) for _ in range(2))
        desk = Client()
        desk.force_login(self.staff)
        begun, told = threading.Event(), threading.Event()

        def hold():
            with transaction.atomic():
                voucher_services.lock_vouchers([busy.pk])
                begun.set()
                told.wait(20)

        def act():
            begun.wait(20)
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '200ms'")
            body = {"action": "suspend", "_selected_action": [busy.pk, free.pk], "confirmed": "yes"}
            try:
                return desk.post(VOUCHERS, {**body, "reason": "Odd"})
            finally:
                told.set()

        with self.assertLogs("apps.core.backoffice.confirmed_actions", "ERROR"):
            _, response = self.together(hold, act)
        self.assertEqual(response.status_code, 302)
        said = [str(each) for each in desk.get(VOUCHERS).context["messages"]]
        self.assertEqual(len(said), 2, said)
        self.assertIn("The database is busy", said[0])
        self.assertEqual(said[1], "Suspended: 1.")
        for voucher, holds in ((busy, ""), (free, "suspended")):
            voucher.refresh_from_db()
            self.assertEqual(voucher.holds, holds)
        self.assertEqual(LogEntry.objects.count(), 1)

    def test_control_a_form_that_saves_the_whole_row_is_caught(self):
        def act(voucher):
            read = Voucher.objects.get(pk=voucher.pk)
            time.sleep(0.3)
            read.expiry_date += timedelta(days=1)
            read.save()

        self.assertTrue(
            any(left != expected for left, expected in (self.race(act) for _ in range(self.rounds)))
        )
