"""What the admin's read-only screens may be asked by their address, and what its log keeps."""

from django.contrib.admin.models import LogEntry

from apps.core import mail
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers.tests.factories import make_voucher
from tests.support.cases import ApiTestCase


class LookupTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(make_staff())
        self.voucher = make_voucher(owner=make_customer())

    def test_what_a_page_does_not_show_cannot_be_asked_for_letter_by_letter(self):
        for address in (
            "/admin/post_office/email/?message__contains=uid",
            "/admin/post_office/email/?html_message__contains=uid",
            f"/admin/vouchers/voucher/?code__startswith={self.voucher.code[:4]}",
            "/admin/vouchers/voucher/?code__gt=A",
            "/admin/vouchers/voucherusage/?details__contains=x",
            "/admin/vouchers/voucherusage/?voucher__code__startswith=A",
            "/admin/payments/transaction/?sold_vouchers__voucher__code__startswith=A",
            f"/admin/vouchers/voucher/?voucher_type__vouchers__code__startswith={self.voucher.code[:4]}",
            "/admin/vouchers/voucher/?voucher_type__vouchers__user__password__startswith=a",
            "/admin/vouchers/voucher/?voucher_type__name__startswith=a",
            "/admin/vouchers/batch/?voucher_type__vouchers__code__startswith=A",
            "/admin/vouchers/voucherusage/?voucher__voucher_type__vouchers__code__gt=A",
            "/admin/vouchers/vouchertype/?vouchers__code__startswith=A",
            "/admin/payments/transaction/?voucher_type__vouchers__code__startswith=A",
            "/admin/payments/transaction/?voucher_type__batches__created_by__password__startswith=a",
            "/admin/users/user/?password__startswith=a",
            "/admin/users/user/?vouchers__code__startswith=A",
            "/admin/auth/group/?user__password__startswith=a",
            "/admin/authentication/session/?refresh_jti__startswith=a",
            "/admin/authentication/session/?auth_hash__gt=0",
            "/admin/authentication/session/?user__password__startswith=a",
        ):
            logged = self.assertLogs("django.security.DisallowedModelAdminLookup", "ERROR")
            with self.subTest(address), logged:
                self.assertEqual(self.client.get(address).status_code, 400)

    def test_what_a_page_offers_to_filter_by_can(self):
        mail.enqueue(to="x@example.com", template="authentication/password_reset", language="en", context={})
        for address in (
            "/admin/post_office/email/?status__exact=0",
            "/admin/vouchers/voucher/",
            f"/admin/vouchers/voucher/?voucher_type__id__exact={self.voucher.voucher_type_id}",
            f"/admin/vouchers/voucherusage/?voucher__voucher_type__id__exact={self.voucher.voucher_type_id}",
            "/admin/vouchers/voucher/?status=active&inactive_reason__exact=refunded",
            "/admin/users/user/?date_joined__year=2026",
            "/admin/payments/transaction/?status__exact=pending",
            "/admin/authentication/session/?expires_at__gte=2026-01-01+00:00:00%2B00:00",
        ):
            with self.subTest(address):
                self.assertEqual(self.client.get(address).status_code, 200)

    def test_a_name_that_is_a_code_is_not_kept_in_the_log_of_the_admin(self):
        code = self.voucher.shown_code
        form = "application/x-www-form-urlencoded"
        self.client.post("/admin/auth/group/add/", f"name=Instead+of+{code}", content_type=form)
        entry = LogEntry.objects.get()
        self.assertEqual(entry.object_repr, f"Instead of ***{code[-4:]}")
