"""The pages of rows in the admin: what they offer, where their history stands, and how they lead to Stripe."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.test import Client, override_settings
from django.utils import timezone

from apps.payments import services
from apps.payments.backoffice.attention import paid_and_expiring
from apps.payments.backoffice.stripe_dashboard import dashboard_address
from apps.payments.models import Dispute, Refund, Transaction
from apps.users.tests.factories import make_staff
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_voucher
from tests.support.cases import ApiTestCase

from .money import PaidTestCase

LIVE = {"STRIPE_API_BASE": "https://api.stripe.com", "STRIPE_SECRET_KEY": "sk_live_x"}
TEST = {**LIVE, "STRIPE_SECRET_KEY": "rk_test_x"}


class StaffPageTestCase(PaidTestCase, ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.office: Any = Client()
        self.root = make_staff(email="root@example.com")
        self.office.force_login(self.root)
        self.paid = self.buy(2)
        self.voucher, self.used = self.paid.vouchers

    def address(self, row: Any, view: str = "change") -> str:
        return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/{view}/"

    def offered(self, row: Any) -> set[str]:
        """The actions whose buttons the page of a row has."""
        page = self.office.get(self.address(row)).content.decode()
        screen: Any = admin.site._registry[type(row)]
        return {
            name
            for name in screen.actions_detail
            if f'href="{self.address(row, getattr(screen, name).url_path)}"' in page
        }


class OfferedActionTests(StaffPageTestCase):
    def test_a_voucher_is_offered_what_can_become_of_it(self) -> None:
        usual = {"extend", "suspend", "reissue", "void", "refund"}
        self.assertEqual(self.offered(self.voucher), usual)
        self.redeem(self.used)
        self.assertEqual(self.offered(self.used), usual - {"refund"})
        self.assertEqual(self.offered(make_voucher(owner=self.customer)), usual - {"refund"})
        voucher_services.suspend_vouchers([self.voucher.pk], actor=self.staff, reason="x")
        self.assertEqual(self.offered(self.voucher), usual - {"suspend"} | {"release"})
        voucher_services.release_vouchers([self.voucher.pk], actor=self.staff, reason="x")
        voucher_services.void_vouchers([self.voucher.pk], actor=self.staff, reason="x")
        self.assertEqual(self.offered(self.voucher), {"refund"})

    def test_what_is_not_offered_is_refused_all_the_same(self) -> None:
        voucher_services.void_vouchers([self.voucher.pk], actor=self.staff, reason="x")
        before = Voucher.objects.filter(pk=self.voucher.pk).values().get()
        later = (timezone.localdate(self.voucher.expiry_date) + timedelta(days=9)).isoformat()
        body = {"reason": "x", "until": later, "confirmed": "yes"}
        self.office.post(self.address(self.voucher, "extend"), body)
        chosen = {"action": "extend", "_selected_action": [self.voucher.pk]}
        self.office.post("/admin/vouchers/voucher/", {**body, **chosen})
        self.assertEqual(Voucher.objects.filter(pk=self.voucher.pk).values().get(), before)

    def test_a_refund_is_offered_what_its_status_allows_on_its_page_and_in_the_list(self) -> None:
        refund = Refund.objects.get(pk=self.ask(self.paid).json()["id"])
        for changes, expected in (
            ({}, {"approve", "reject"}),
            ({"needs_second_person": True, "requested_by": self.root}, {"reject"}),
            ({"status": "approved", "needs_second_person": False}, {"send_again"}),
            ({"status": "pending"}, set()),
            ({"status": "failed", "finished_at": timezone.now()}, {"acknowledge_failure"}),
            ({"acknowledged_at": timezone.now()}, set()),
            ({"status": "succeeded"}, set()),
        ):
            with self.subTest(changes=changes):
                Refund.objects.filter(pk=refund.pk).update(**changes)
                self.assertEqual(self.offered(refund), expected)
                page = self.office.get("/admin/payments/refund/").content.decode()
                cell = page.partition("field-next_step")[2].partition("</td>")[0]
                self.assertEqual(cell.count("href="), len(expected))

    def test_a_payment_is_offered_a_refund_while_there_is_one_to_make(self) -> None:
        self.assertIn("refund_unused", self.offered(self.paid))
        self.ask(self.paid)
        self.assertNotIn("refund_unused", self.offered(self.paid))
        pending = Transaction.objects.get(stripe_payment_intent_id=self.start(1).json()["payment_intent_id"])
        self.assertEqual(self.offered(self.paid), {"mail_receipt", "print_vouchers"})
        self.assertEqual(self.offered(pending), set())

    def test_a_use_is_given_back_once(self) -> None:
        self.redeem(self.used)
        usage = VoucherUsage.objects.get(voucher=self.used)
        self.assertEqual(self.offered(usage), {"reverse"})
        voucher_services.reverse_usage(usage_id=usage.pk, actor=self.staff, reason="x")
        self.assertEqual(self.offered(usage), set())

    def test_a_day_that_a_voucher_has_already_is_refused_beside_what_was_typed(self) -> None:
        day = timezone.localdate(self.voucher.expiry_date).isoformat()
        page = self.office.post(self.address(self.voucher, "extend"), {"until": day, "reason": "A strike"})
        self.assertContains(page, "already")
        self.assertContains(page, "A strike")
        self.assertContains(page, f'value="{day}"')


class HistoryButtonTests(StaffPageTestCase):
    def test_it_leads_to_where_the_history_stands_and_is_not_there_elsewhere(self) -> None:
        self.redeem(self.used)
        usage = VoucherUsage.objects.get(voucher=self.used)
        of_voucher = f"/admin/vouchers/voucherevent/?voucher={self.used.pk}"
        dispute = Dispute.objects.create(
            transaction=self.paid,
            amount=1,
            stripe_dispute_id="dp_1",
            stripe_status="x",
            opened_at=timezone.now(),
        )
        for row, address in (
            (self.used, of_voucher),
            (usage, of_voucher),
            (self.paid, self.address(self.paid, "history")),
            (self.customer, self.address(self.customer, "history")),
            (dispute, None),
        ):
            with self.subTest(row):
                page = self.office.get(self.address(row))
                self.assertEqual(page.context["history_address"], address)
                self.assertEqual(f'href="{address}"' in page.content.decode(), address is not None)
                self.assertEqual(self.office.get(address or "/admin/").status_code, 200)
                if address is None:
                    self.assertNotContains(page, "/history/")
        events = self.office.get(of_voucher).context["cl"].result_list
        self.assertEqual({event.voucher_id for event in events}, {self.used.pk})


class StripeDashboardTests(StaffPageTestCase):
    def test_the_address_has_the_mode_of_the_key_and_is_none_of_another_service(self) -> None:
        for names, address in (
            (LIVE, "https://dashboard.stripe.com/payments/pi_1"),
            (TEST, "https://dashboard.stripe.com/test/payments/pi_1"),
            ({**LIVE, "STRIPE_API_BASE": "http://127.0.0.1:12111"}, None),
        ):
            with self.subTest(names=names), override_settings(**names):
                self.assertEqual(dashboard_address("payments", "pi_1"), address)
                self.assertIsNone(dashboard_address("payments", None))

    def test_pages_of_payments_refunds_and_disputes_link_to_it(self) -> None:
        refund = Refund.objects.get(pk=self.ask(self.paid).json()["id"])
        dispute = Dispute.objects.create(
            transaction=self.paid,
            amount=1,
            stripe_dispute_id="dp_1",
            stripe_status="needs_response",
            opened_at=timezone.now(),
        )
        payment = f"https://dashboard.stripe.com/test/payments/{self.paid.stripe_payment_intent_id}"
        disputed = "https://dashboard.stripe.com/test/disputes/dp_1"
        for address, link in (
            (self.address(self.paid), payment),
            (self.address(refund), payment),
            (self.address(dispute), disputed),
            ("/admin/payments/dispute/", disputed),
        ):
            with self.subTest(address):
                with override_settings(**TEST):
                    self.assertContains(self.office.get(address), f'href="{link}"')
                self.assertNotContains(self.office.get(address), "dashboard.stripe.com")


class ExpiringTests(StaffPageTestCase):
    def test_paid_vouchers_that_expire_soon_are_counted_on_the_front_page_and_listed_first_come_first(
        self,
    ) -> None:
        now = timezone.now()
        free = make_voucher(owner=self.customer)
        for voucher, days in ((self.voucher, 20), (self.used, 3), (free, 3)):
            Voucher.objects.filter(pk=voucher.pk).update(expiry_date=now + timedelta(days=days))
        self.assertEqual([paid_and_expiring(days)(now).count() for days in (2, 7, 30)], [0, 1, 2])
        page = self.office.get("/admin/")
        address = "/admin/vouchers/voucher/?attention=vouchers_expiring_30"
        self.assertContains(page, f'href="{address}"')
        rows = list(self.office.get(address).context["cl"].result_list)
        self.assertEqual(rows, [self.used, self.voucher])
        bar = page.content.decode().partition('id="nav-sidebar-apps"')[2].partition('id="header')[0]
        entry = bar.partition('href="/admin/vouchers/voucher/"')[2].partition("</a>")[0]
        self.assertNotRegex(entry, r">\s*2\s*<")  # nobody has to do anything about them


class MarkTests(StaffPageTestCase):
    def test_the_list_says_in_words_why_a_voucher_is_inactive(self) -> None:
        voucher_services.suspend_vouchers([self.voucher.pk], actor=self.staff, reason="x")
        self.ask(self.paid)
        page = self.office.get("/admin/vouchers/voucher/?status=inactive")
        self.assertContains(page, "Suspended by staff")
        page = self.office.get("/admin/vouchers/voucher/?inactive_reason=refund_pending")
        self.assertContains(page, "Refund under way")

    def test_dates_and_services_are_written_for_people(self) -> None:
        page = self.office.get(self.address(self.voucher))
        self.assertContains(page, f"{timezone.localtime(self.voucher.expiry_date):%B %Y, 23:59}")
        self.assertContains(page, "Exam results")
        self.assertNotContains(page, "exam_results")

    def test_the_line_of_a_void_voucher_says_nothing_of_live(self) -> None:
        refund = Refund.objects.get(pk=self.ask(self.paid).json()["id"])
        services.approve_refund(refund_id=refund.pk, actor=self.staff)
        page = self.office.get(self.address(refund))
        self.assertContains(page, "Inactive")
        self.assertNotContains(page, "Live")
