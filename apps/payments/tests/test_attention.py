"""What needs a person, on the admin's front page: each number leads to the rows that it counts."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from unittest.mock import patch

from django.apps import apps as installed
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models.sql.compiler import SQLCompiler
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.core.backoffice import attention
from apps.core.models import JobResult
from apps.payments import services
from apps.payments.backoffice.attention import without_webhooks
from apps.payments.models import Dispute, Refund, StripeEvent, Transaction
from apps.payments.services.reconciliation.report import Report
from apps.payments.tasks import reconcile
from apps.users.tests.factories import make_staff, make_user
from apps.vouchers.models import Voucher

from .factories import make_transaction
from .staff import REFUNDS, VOUCHERS, StaffTestCase

PAID = "payment_intent.succeeded"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class AttentionTests(StaffTestCase):
    def setUp(self):
        super().setUp()
        # So that nothing needs anybody yet.
        services.reject_refund(refund_id=self.requested_refund.pk, actor=self.staff, note="")
        Email.objects.all().delete()
        self.now = timezone.now()
        StripeEvent.objects.create(stripe_id="evt_0", type="x", object_id="x", processed_at=self.now)

    def shown(self, client=None) -> dict[str, tuple[str, str]]:
        """Label, number and address of each item on the front page."""
        page = unescape((client or self.client).get("/admin/").content.decode())
        items = re.findall(
            r'<a href="([^"]*\?attention=\w+)"[^>]*>\s*<span[^>]*>(\d+\+?)</span>\s*<span[^>]*>(.*?)</span>\s*<',
            page,
            re.DOTALL,
        )
        return {re.sub("<[^>]*>.*", "", label): (number, address) for address, number, label in items}

    def rows_at(self, address: str) -> list[Any]:
        response = self.client.get(address)
        self.assertEqual(response.status_code, 200, address)
        return [row.pk for row in response.context["cl"].queryset]

    def test_where_nothing_needs_anybody_nothing_is_shown(self):
        self.allow("view_email", "view_jobresult", "view_stripeevent")
        self.assertEqual(self.shown(), {})
        self.assertNotContains(self.client.get("/admin/"), "Needs a person")

    def test_each_number_leads_to_the_rows_that_it_counts(self):
        self.allow("view_email", "view_jobresult", "view_stripeevent")
        refund = Refund.objects.create(transaction=self.paid, amount=1, origin="staff", status="requested")
        dispute = Dispute(transaction=self.paid, amount=1, stripe_status="needs_response", opened_at=self.now)
        dispute.respond_by = self.now + 3 * DAY
        dispute.save()
        event = StripeEvent.objects.get()
        mail = Email.objects.create(to=["x@example.com"], from_email="y@example.com", status=STATUS.queued)
        JobResult.objects.record("Audit", problems=0, next_within=DAY)
        job = JobResult.objects.get()
        pending = make_transaction(user=self.customer, voucher_type=self.type)

        def change(row: Any, **fields: Any) -> None:
            type(row).objects.filter(pk=row.pk).update(**fields)

        for label, row, near_miss, hit in (
            ("Refunds to decide about", refund, {"origin": "automatic"}, {"origin": "buyer"}),
            ("Refunds under way for long", refund, {"status": "approved", "updated_at": self.now - HOUR / 2},
                {"updated_at": self.now - 2 * HOUR}),
            ("Refunds under way for long", refund, {"status": "pending", "updated_at": self.now - 9 * DAY},
                {"updated_at": self.now - 11 * DAY}),
            ("Refunds that failed", refund, {"status": "rejected", "finished_at": self.now}, {"status": "failed"}),
            ("Disputes to answer at Stripe", dispute, {"stripe_status": "under_review"},
                {"stripe_status": "needs_response"}),
            ("Purchases that do not end", pending, {"created_at": self.now - 25 * HOUR},
                {"created_at": self.now - 31 * HOUR}),
            ("Payments since the last webhook of Stripe", self.paid,
                {"completed_at": self.now - 2 * HOUR}, None),
            ("Stripe events that can't be applied", event,
                {"processed_at": None, "received_at": self.now - timedelta(minutes=5)},
                {"received_at": self.now - HOUR}),
            ("Mail that could not be sent", mail, {"status": STATUS.queued}, {"status": STATUS.failed}),
            ("Checks that found something, or did not run", job, {"problems": 0}, {"problems": 2}),
            ("Checks that found something, or did not run", job, {"problems": 0}, {"complete": False}),
            ("Checks that found something, or did not run", job, {"complete": True},
                {"next_due_at": self.now - HOUR}),
        ):  # fmt: skip
            with self.subTest(label, hit=hit):
                change(row, **near_miss)
                self.assertNotIn(label, self.shown())
                if hit is None:  # the last event came before the payment, and none since
                    change(event, received_at=self.now - 3 * HOUR)
                else:
                    change(row, **hit)
                number, address = self.shown()[label]
                self.assertEqual((number, self.rows_at(address)), ("1", [row.pk]))
        self.assertContains(self.client.get("/admin/"), "the first is due by")

    def test_a_payment_that_the_last_webhook_completed_is_none_since_it(self):
        intent_id = self.start(1).json()["payment_intent_id"]
        self.stripe.pay(intent_id)
        [event] = [each for each in self.stripe.events(PAID) if each["data"]["object"]["id"] == intent_id]
        self.assertEqual(self.deliver(event["id"]).status_code, 200)
        paid = Transaction.objects.get(stripe_payment_intent_id=intent_id)
        received = StripeEvent.objects.get(stripe_id=event["id"])
        assert paid.completed_at
        self.assertGreater(paid.completed_at, received.received_at)
        later = self.now + 2 * HOUR
        self.assertEqual(list(without_webhooks(later)), [])
        StripeEvent.objects.update(received_at=self.now - HOUR)
        self.assertIn(paid, without_webhooks(later))

    def test_who_may_not_see_the_rows_sees_no_number(self):
        Refund.objects.create(transaction=self.paid, amount=1, origin="staff", status="requested")
        self.assertIn("Refunds to decide about", self.shown())
        other = Client()
        other.force_login(make_user(is_staff=True))
        self.assertEqual(self.shown(other), {})

    def test_numbers_are_those_of_the_hour_and_of_the_person(self):
        make_transaction(user=self.customer, voucher_type=self.type)
        Refund.objects.create(transaction=self.paid, amount=1, origin="staff", status="approved")
        cashier = make_user(is_staff=True)
        cashier.user_permissions.add(Permission.objects.get(codename="view_transaction"))
        other = Client()
        other.force_login(cashier)
        overdue, stuck = {"Refunds under way for long"}, {"Purchases that do not end"}
        # Forth and back, each after one that gives another number.
        for hours, of_desk, of_cashier in (
            (0, set(), set()),
            (2, overdue, set()),
            (31, overdue | stuck, stuck),
            (29, overdue, set()),
            (0, set(), set()),
        ):
            with (
                self.subTest(hours=hours),
                patch.object(timezone, "now", return_value=self.now + hours * HOUR + HOUR / 2),
            ):
                self.assertEqual(set(self.shown(other)), of_cashier)
                self.assertEqual(set(self.shown()), of_desk)

    def test_each_is_compiled_once_and_counts_what_its_list_has(self):
        Refund.objects.create(transaction=self.paid, amount=1, origin="staff", status="requested")
        request: Any = RequestFactory().get("/admin/")
        request.user = make_staff(email="superuser@example.com")
        attention.attention_for(request)
        del request._attention_numbers
        Voucher.objects.update(expiry_date=self.now + 6 * DAY)
        with patch.object(SQLCompiler, "as_sql", side_effect=AssertionError("compiled")):
            shown = {each.item: each.number for each in attention.attention_for(request)}
        for item in {item for model in installed.get_models() for item in attention.items_of(model)}:
            with self.subTest(item.name):
                self.assertEqual(shown.get(item, 0), item.rows(timezone.now()).count())
        self.assertEqual(len(shown), 3)

    def test_all_numbers_take_one_query_and_are_bounded(self):
        for _ in range(3):
            Refund.objects.create(transaction=self.paid, amount=1, origin="staff", status="requested")
        request: Any = RequestFactory().get("/admin/")
        request.user = make_staff(email="superuser@example.com")
        with (
            patch.object(attention, "MAX_COUNTED", 2),
            CaptureQueriesContext(
                connection,
            ) as queries,
        ):
            shown = {each.item.name: each.count for each in attention.attention_for(request)}
        self.assertEqual(shown["refunds_requested"], "2+")
        self.assertEqual(len(queries), 1)


class FailedRefundTests(StaffTestCase):
    def setUp(self):
        super().setUp()
        self.allow("decide_refund")
        self.failed = self.fail_at_bank()

    def fail_at_bank(self):
        """A refund that was under way, until the bank sent the money back."""
        paid = self.buy(1)
        refund = self.refund(paid)
        Email.objects.all().delete()
        self.stripe.settle_refund(refund.stripe_refund_id, "failed")
        services.sync_refund(refund.stripe_refund_id)
        refund.refresh_from_db()
        self.assertEqual(refund.status, "failed")
        return refund

    def waiting(self):
        return set(Refund.objects.failed_unacknowledged())

    def test_those_who_decide_about_refunds_are_mailed_once(self):
        [mail] = Email.objects.filter(subject=f"Refund {self.failed.pk} failed")
        self.assertEqual(mail.to, [self.desk.email])  # and not superusers, where somebody has the permission
        self.assertIn(f"{REFUNDS}{self.failed.pk}/change/", mail.message)
        self.assertIn("10.00\xa0USD", mail.message)
        services.sync_refund(self.failed.stripe_refund_id)
        self.assertEqual(Email.objects.filter(subject=mail.subject).count(), 1)

    def test_where_nobody_has_the_permission_superusers_are(self):
        self.desk.user_permissions.clear()
        failed = self.fail_at_bank()
        [mail] = Email.objects.filter(subject=f"Refund {failed.pk} failed")
        self.assertEqual(mail.to, [self.staff.email])

    def test_it_waits_until_another_refund_is_under_way(self):
        self.assertEqual(self.waiting(), {self.failed})
        another = Refund.objects.get(pk=self.ask(self.failed.transaction).json()["id"])
        self.assertEqual(self.waiting(), set())
        services.reject_refund(refund_id=another.pk, actor=self.staff, note="")
        self.assertEqual(self.waiting(), {self.failed})

    def test_it_waits_though_another_voucher_of_the_payment_is_refunded(self):
        paid = self.buy(2)
        first, second = paid.vouchers
        self.allow("make_refund")
        refunds = []
        for voucher, outcome in ((first, "failed"), (second, "succeeded"), (first, "succeeded")):
            self.choose(VOUCHERS, "refund", voucher, confirmed="1", reason="Unused")
            refund = Refund.objects.filter(transaction=paid).latest("pk")
            if outcome == "failed":
                assert refund.stripe_refund_id
                self.stripe.settle_refund(refund.stripe_refund_id, "failed")
                services.sync_refund(refund.stripe_refund_id)
            refund.refresh_from_db()
            self.assertEqual(refund.status, outcome)
            refunds.append(refund)
            self.assertEqual(refunds[0] in self.waiting(), len(refunds) < 3)

    def test_it_waits_until_somebody_says_that_it_is_settled(self):
        said = self.messages_after(
            self.choose(REFUNDS, "acknowledge_failure", self.failed, confirmed="1", reason="By bank transfer")
        )
        self.assertEqual(said, ["Settled in another way: 1."])
        self.assertEqual(self.waiting(), set())
        said = self.messages_after(
            self.choose(REFUNDS, "acknowledge_failure", self.failed, confirmed="1", reason="Again")
        )
        self.assertEqual(said, ["Nothing to do: 1."])

    def test_what_did_not_fail_is_not_settled_so(self):
        [said] = self.messages_after(
            self.choose(REFUNDS, "acknowledge_failure", self.requested_refund, confirmed="1", reason="x")
        )
        self.assertIn("did not fail", said)


class MarkTests(StaffTestCase):
    def shown(self):
        page = self.client.get(f"/admin/payments/transaction/{self.paid.pk}/change/")
        return re.findall(r"(Completed|Partly refunded|Disputed)", page.content.decode())[:1]

    def test_a_transaction_says_that_it_is_disputed_or_partly_refunded(self):
        self.assertEqual(self.shown(), ["Completed"])
        Transaction.objects.filter(pk=self.paid.pk).update(amount_refunded=10)
        self.assertEqual(self.shown(), ["Partly refunded"])
        dispute = self.stripe.dispute(self.paid.stripe_payment_intent_id)
        services.sync_dispute(dispute["id"])
        self.assertEqual(self.shown(), ["Disputed"])


class JobResultTests(StaffTestCase):
    def test_the_scheduled_reconciliation_stores_what_it_leaves_to_a_person(self):
        Transaction.objects.filter(pk=self.paid.pk).update(
            stripe_payment_intent_id="pi_none", completed_at=timezone.now(), created_at=timezone.now() - HOUR
        )
        with patch("time.sleep"):
            problems = reconcile(2)
        result = JobResult.objects.get()
        self.assertEqual((result.name, result.problems), ("Reconciliation of 2 hours", problems))
        self.assertGreater(problems, 0)
        self.assertTrue(result.complete)
        self.assertTrue(any("fulfilled_not_paid" in line for line in result.details), result.details)
        self.allow("view_jobresult")
        page = self.client.get(f"/admin/core/jobresult/{result.pk}/change/")
        self.assertContains(page, "fulfilled_not_paid")

    @override_settings(ADMINS=[("", "ops@example.com")])
    def test_administrators_are_mailed_what_it_finds_once_whichever_run_it_was(self):
        def mails(hours):
            reconcile(hours)
            subjects = list(Email.objects.filter(to="ops@example.com").values_list("subject", flat=True))
            Email.objects.filter(to="ops@example.com").delete()
            return subjects

        intent = self.paid.stripe_payment_intent_id
        self.assertEqual((mails(2), mails(96)), ([], []))
        self.change_intent("pi_none")
        with patch("time.sleep"):
            self.assertEqual(mails(2), ["Reconciliation: 2 new findings"])
            self.assertEqual((mails(2), mails(96)), ([], []))
            self.change_intent(intent)
            self.assertEqual(mails(2), [])  # it looks at a part of what the daily one does
            self.assertEqual((mails(96), mails(96)), (["Reconciliation: all is well again"], []))
            self.change_intent("pi_none")
            self.assertEqual(mails(2), ["Reconciliation: 2 new findings"])

    @override_settings(ADMINS=[("", "ops@example.com")])
    def test_a_stripe_that_is_away_is_a_finding_of_the_daily_run_alone(self):
        report = Report(complete=False)
        with patch("apps.payments.tasks.reconciliation.reconcile", return_value=report):
            reconcile(2)
            self.assertFalse(Email.objects.filter(to="ops@example.com").exists())
            reconcile(96)
            reconcile(96)
        self.assertEqual(Email.objects.get(to="ops@example.com").subject, "Reconciliation: 1 new finding")

    def change_intent(self, intent):
        Transaction.objects.filter(pk=self.paid.pk).update(
            stripe_payment_intent_id=intent, completed_at=timezone.now(), created_at=timezone.now() - HOUR
        )
