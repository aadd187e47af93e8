"""The admin and the API's documentation under their Content-Security-Policy, in headless Chromium."""

from unittest.mock import patch

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import Client, tag
from django.urls import reverse

from apps.authentication import cookies, services
from apps.core.security_headers import POLICIES
from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers.tests.factories import make_batch_vouchers, make_voucher
from tests.browser.chromium import BrowserMixin
from tests.support.flush import FastFlushTestCase


@tag("slow", "any-database")
class PolicyTests(BrowserMixin, FastFlushTestCase, StaticLiveServerTestCase):
    def setUp(self):
        super().setUp()
        staff, customer = make_staff(), make_customer()
        self.voucher = make_voucher(owner=customer)
        self.batch_id = make_batch_vouchers(owner=customer, quantity=2)[0].batch_id
        self.paid = make_completed_transaction(user=customer)
        self.driver = self.browser()
        self.driver.set_script_timeout(30)
        client = Client()
        client.force_login(staff)
        self.open("/api/health/")  # a cookie is set on a page of its site
        name = settings.SESSION_COOKIE_NAME
        self.driver.add_cookie({"name": name, "value": client.cookies[name].value, "path": "/"})
        self.driver.get_log("browser")

    def open(self, path):
        self.driver.get(f"{self.live_server_url}{path}")

    def assertQuiet(self, path):
        """The browser's console tells of nothing that it refused, and of no script that failed, since the last call."""
        lines = [line["message"] for line in self.driver.get_log("browser")]
        lines = [line for line in lines if "Content Security Policy" in line or "Uncaught" in line]
        self.assertEqual(lines, [], path)

    def wait(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20).until(lambda driver: driver.execute_script(f"return {condition}"))

    def pages(self):
        yield reverse("admin:index")
        yield reverse("admin-revenue")
        yield reverse("admin:password_change")
        for model, pk in (
            ("users_user", self.voucher.user_id),
            ("vouchers_vouchertype", self.voucher.voucher_type_id),
            ("vouchers_voucher", self.voucher.pk),
            ("vouchers_batch", self.batch_id),
            ("payments_transaction", self.paid.pk),
        ):
            yield reverse(f"admin:{model}_changelist")
            yield reverse(f"admin:{model}_change", args=[pk])
        for model in ("users_user", "vouchers_vouchertype", "vouchers_batch"):
            yield reverse(f"admin:{model}_add")
        yield reverse("admin:vouchers_voucher_extend", args=[self.voucher.pk])
        yield reverse("admin:auth_group_delete", args=[Group.objects.create(name="Desk").pk])
        yield "/admin/nothing/"

    def test_the_admin_works_under_its_policy(self):
        for path in self.pages():
            with self.subTest(path):
                self.open(path)
                self.wait("document.readyState === 'complete'")
                self.assertQuiet(path)
        self.open(reverse("admin:index"))
        self.wait("window.Alpine && document.querySelectorAll('canvas').length > 0")
        self.wait("Object.values(Chart.instances).length === document.querySelectorAll('canvas').length")
        self.driver.delete_all_cookies()
        self.open("/admin/")
        self.wait("document.getElementById('login-form') !== null")
        self.assertQuiet("signing in")

    def test_the_documentation_calls_the_api_under_its_policy(self):
        self.open("/api/docs/")
        self.wait("document.querySelectorAll('.opblock').length > 20")
        self.driver.execute_script("document.querySelector('#operations-tag-health, .opblock-get').click()")
        self.assertQuiet("/api/docs/")

    def test_a_qr_code_is_shown_under_its_policy(self):
        token = services.open_session(user=self.voucher.user).access
        self.driver.add_cookie({"name": cookies.ACCESS.name, "value": token, "secure": True})
        self.open(f"/api/vouchers/detail/{self.voucher.code}/qr/")
        self.wait("document.documentElement.tagName === 'svg'")
        self.assertQuiet("a QR code")

    def test_control_what_a_page_refuses_is_seen(self):
        with patch.dict(POLICIES, {"/admin/": POLICIES["/"]}):
            self.open(reverse("admin:index"))
        self.assertIn("Content Security Policy", str(self.driver.get_log("browser")))
