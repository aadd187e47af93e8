"""The pages that staff look at in the admin: what they never show, refuse, link to, and find."""

from django.contrib.auth.models import Permission
from django.test import tag
from django.utils import timezone

from apps.payments.models import Dispute
from apps.vouchers import services as voucher_services
from apps.vouchers.models import VoucherEvent, VoucherUsage

from .money import REFUND
from .staff import DISPUTES, HISTORY, REFUNDS, TRANSACTIONS, USAGES, VOUCHERS, StaffTestCase


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
            (REFUNDS, self.requested_refund),
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
        requested = self.api.post(REFUND, {"payment_id": self.paid.pk, "reason": written, "notes": written})
        self.assertEqual(requested.status_code, 201)
        body = {"code": self.buy(1).vouchers[0].code, "details": {"note": written, "name": "<b>"}}
        self.assertEqual(self.api.post("/api/vouchers/redeem/", body).status_code, 200)
        usage = VoucherUsage.objects.latest("pk")
        for address in (
            f"{REFUNDS}{requested.json()['id']}/change/",
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
        for text in (f'href="{TRANSACTIONS}{self.paid.pk}/change/"', "Suspended", "Odd", str(self.desk)):
            self.assertContains(page, text)
        page = self.client.get(f"{VOUCHERS}{self.used.pk}/change/")
        self.assertContains(page, f'href="{USAGES}{self.usage.pk}/change/"')
        page = self.client.get(f"{TRANSACTIONS}{self.other.pk}/change/")
        self.assertContains(page, f'href="{REFUNDS}{self.requested_refund.pk}/change/"')
        page = self.client.get(f"{TRANSACTIONS}{self.paid.pk}/change/")
        self.assertContains(page, f'href="{DISPUTES}{self.dispute.pk}/change/"')
        page = self.client.get(f"{REFUNDS}{self.requested_refund.pk}/change/")
        self.assertContains(page, f'href="{TRANSACTIONS}{self.other.pk}/change/"')

    def test_a_search_finds_by_each_thing_that_it_names_and_by_nothing_else(self):
        person, code = self.customer.email, self.voucher.shown_code
        ending = code[-4:].lower()
        for screen, row, typed in (
            (VOUCHERS, self.voucher, (person, person[1:5], code, ending, f" ····-{ending} ")),
            (USAGES, self.usage, (person, self.used.code, self.used.code[-4:])),
            (HISTORY, self.event, (person, code, ending)),
            (TRANSACTIONS, self.paid, (person, str(self.paid.pk), self.paid.stripe_payment_intent_id, code)),
            (
                REFUNDS,
                self.requested_refund,
                (person, str(self.requested_refund.pk), self.other.vouchers[0].code),
            ),
            (DISPUTES, self.dispute, (person, "dp_1", str(self.paid.pk), code, ending)),
        ):
            for words in typed:
                with self.subTest(screen, words=words):
                    self.assertIn(row, self.client.get(screen, {"q": words}).context["cl"].result_list)
            for words in ("nobody@", "\u0663", "9" * 19, "9" * 20, "9" * 5000, f"····-{person[:4]}", "%"):
                with self.subTest(screen, words=words[:30]):
                    rows = self.client.get(screen, {"q": words}).context["cl"].result_list
                    self.assertEqual(list(rows), [])

    def test_events_are_found_by_code_and_kind(self):
        rows = self.client.get(HISTORY, {"q": self.voucher.shown_code}).context["cl"].result_list
        self.assertEqual({event.voucher_id for event in rows}, {self.voucher.pk})
        rows = self.client.get(HISTORY, {"kind__exact": "held"}).context["cl"].result_list
        self.assertEqual({event.kind for event in rows}, {"held"})
