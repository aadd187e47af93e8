"""One person's way through the reference shop, from signing up to a refund, on a desk and on a phone."""

from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse

from apps.core import mail_pages
from apps.payments.models import Refund, Transaction
from apps.users.tests.factories import make_staff
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_type
from tests.browser.shop import DESK, PHONE, ShopTestCase

EMAIL, PASSWORD, NEW_PASSWORD = "ama@example.com", "plums in the icebox", "so sweet and so cold"
PAGES = (
    "/ /vouchers /redeem /purchases /redemptions /account /buy?type={type} /purchase?id={purchase} /voucher#code={code}"
    " /vouchers?status=expired"
).split()
PAGES_OF_VISITORS = (
    "/ /sign-in /sign-up /forgot-password /reset-password#uid=x&token=y /unsubscribe#token=x /confirm-email#token=x"
    " /change-email#token=x /cancel-email-change#token=x".split()
)


class JourneyTests(ShopTestCase):
    def test_from_signing_up_to_a_refund_and_a_forgotten_password(self):
        self.type = make_type(name="Exam Results Checking")
        self.sign_up()
        self.buy_two()
        self.redeem_by_the_qr_code()
        self.ask_for_a_refund()
        self.approve_it_in_the_admin()
        self.see_it_in_the_shop()
        self.look_at_every_page()
        self.set_a_new_password()
        self.read_it_in_french()

    def sign_up(self):
        self.visit("/")
        self.click("Buy Exam Results Checking")
        self.at("/sign-in")
        self.click("Make an account")
        self.at("/sign-up")
        self.fill(first_name="Ama", email="ama@", password="short")
        self.refusals.append("api/auth/register/ .* status of 400")
        self.click("Make account")
        self.assertEqual(self.error_beside("email"), "Enter a valid email address.")
        self.fill(email=EMAIL, password=PASSWORD)
        self.click("Make account")
        self.at("/buy")  # where the way began

    def buy_two(self):
        self.fill(quantity=2)
        self.click("Continue to payment")
        self.click("Declined")
        self.refusals.append(r"payment_intents/pi_\w+/confirm .* status of 402")
        self.click("Pay $20.00")
        self.shows("Your card was declined.")
        self.click("3-D Secure")
        self.click("Pay $20.00")
        self.press_in_the_banks_page("fail")
        self.shows("failed authentication")
        self.assertEqual(Voucher.objects.count(), 0)
        self.click("Pay $20.00")
        self.press_in_the_banks_page("complete")
        self.at("/purchase")
        self.assertEqual(Transaction.objects.count(), 1)
        self.assertEqual(Voucher.objects.count(), 2)
        self.used, self.unused = Voucher.objects.order_by("pk")
        for voucher in (self.used, self.unused):
            self.shows(voucher.code[-4:])

    def press_in_the_banks_page(self, outcome):
        """Press a button of the bank's page. The dialog closes by itself once the payment says how it ended."""
        self.driver.switch_to.frame(self.element("dialog iframe"))
        self.element(f"button[value={outcome}]").click()
        self.driver.switch_to.default_content()
        self.until("document.querySelector('dialog') === null")

    def redeem_by_the_qr_code(self):
        self.visit(f"/voucher#code={self.used.shown_code}")
        self.shows(self.used.shown_code)
        link = self.qr_content()
        self.assertEqual(link, f"{self.live_server_url}/redeem#code={self.used.shown_code}")
        self.width(PHONE)
        self.visit(link)
        self.assertNotIn(self.used.shown_code, self.driver.current_url)  # no longer in the address bar
        self.click("Redeem")
        self.shows("Redeemed")
        self.assertEqual(VoucherUsage.objects.get().voucher, self.used)
        self.click("Redeem another")
        self.fill(code=self.used.shown_code)
        self.refusals.append("api/vouchers/redeem/ .* status of 409")
        self.click("Redeem")
        self.assertEqual(self.error_beside("code"), "This voucher has no uses left.")
        self.assertEqual(VoucherUsage.objects.count(), 1)

    def ask_for_a_refund(self):
        self.click("Purchases")
        self.at("/purchases")
        self.element("a.ticket").click()
        self.at("/purchase")
        self.click("Ask for a refund")
        self.fill(reason="I bought it twice", notes="Sorry!")
        self.click("Send request")
        self.shows("We are looking at your request.")
        self.refund = Refund.objects.get()
        self.assertEqual((self.refund.reason, self.refund.status), ("I bought it twice", "requested"))

    def approve_it_in_the_admin(self):
        client = Client()
        client.force_login(make_staff())
        name = settings.SESSION_COOKIE_NAME
        self.driver.add_cookie({"name": name, "value": client.cookies[name].value, "path": "/"})
        self.width(DESK)
        screen = reverse("admin:payments_refund_change", args=[self.refund.pk])
        self.driver.get(f"{self.live_server_url}{screen}")
        self.until("[...document.links].find((link) => link.innerText.trim().endsWith('Approve'))").click()
        self.element("textarea[name=reason]").send_keys("Bought twice indeed")
        self.until(
            "[...document.querySelectorAll('button')].find((each) => each.innerText === 'Approve')"
        ).click()
        self.shows("Refunded: 1.")
        self.refund.refresh_from_db()
        self.assertEqual(self.refund.status, "succeeded")

    def see_it_in_the_shop(self):
        self.visit(f"/purchase?id={self.refund.transaction_id}")
        self.shows("The money was sent back to your card.")
        self.shows("Bought twice indeed")
        self.visit("/vouchers?status=inactive")
        self.shows("Refunded: it can't be used any more.")
        self.shows(self.unused.code[-4:])

    def look_at_every_page(self):
        values = {"type": self.type.pk, "purchase": self.refund.transaction_id, "code": self.used.shown_code}
        self.assertPagesAccessible([page.format(**values) for page in PAGES])

    def assertPagesAccessible(self, pages):
        """On a desk in light colours, on a phone in dark ones."""
        for page in pages:
            self.visit(page)
            for width, scheme in ((DESK, "light"), (PHONE, "dark")):
                with self.subTest(page, width=width):
                    self.width(width, scheme)
                    self.assertAccessible(page)

    def set_a_new_password(self):
        self.visit("/account")
        self.click("Sign out")
        self.at("/")
        self.assertPagesAccessible(PAGES_OF_VISITORS)
        self.visit("/sign-in")
        self.click("Forgot your password?")
        self.at("/forgot-password")
        self.fill(email=EMAIL)
        self.click("Send link")
        self.shows("Look into your mail")
        self.follow_the_link_on_the_mail_page()
        self.assertNotIn("token", self.driver.current_url)
        self.fill(password=NEW_PASSWORD)
        self.click("Set password")
        self.at("/sign-in")
        self.fill(email=EMAIL, password=PASSWORD)
        self.refusals.append("api/auth/login/ .* status of 401")
        self.click("Sign in")
        self.until("document.querySelector('main [role=alert]') !== null")
        self.fill(password=NEW_PASSWORD)
        self.click("Sign in")
        self.at("/vouchers")

    def follow_the_link_on_the_mail_page(self):
        with override_settings(DEBUG=True, EMAIL_BACKEND=mail_pages.BACKEND):
            self.driver.get(f"{self.live_server_url}/mail/?to={EMAIL}")
            self.until("[...document.links].find((link) => /password/i.test(link.innerText))").click()
            self.until("[...document.links].find((link) => link.href.includes('/reset-password#'))").click()
            self.at("/reset-password")

    def read_it_in_french(self):
        self.element(".foot select").send_keys("Fran\u00e7ais")
        self.until("document.querySelector('h1').innerText === 'Mes bons'")
        self.assertEqual(self.driver.execute_script("return document.documentElement.lang"), "fr")
        self.visit("/vouchers")  # the choice stays
        self.shows("Mes bons")
