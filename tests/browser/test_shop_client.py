"""The reference shop as a client of the API: Stripe.js, a bad connection, and a session that ends. With controls."""

from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from apps.authentication import cookies
from apps.authentication.models import Session
from apps.payments.models import Transaction
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.browser.shop import PATIENCE, ShopTestCase, SignedInTestCase

# In place of Stripe's script, which is not to be had here: it notes what it is asked for, and says what it is told to.
STRIPE_JS = """
window.said = [];
window.Stripe = (key) => ({
  elements: (options) => {
    said.push(["elements", key, options.clientSecret, options.locale]);
    return {create: (kind) => ({mount: (box) => said.push(["mount", kind, box.isConnected])})};
  },
  confirmPayment: ({redirect, confirmParams}) => {
    said.push(["confirmPayment", redirect, confirmParams.return_url]);
    return Promise.resolve(window.answers.shift());
  },
});
window.answers = [
  {error: {message: "Your card has insufficient funds."}},
  {paymentIntent: {status: "succeeded"}},
];
"""


class RealAccountTests(SignedInTestCase):
    """With the keys of a Stripe account the card is Stripe.js's: our page has no field for it."""

    def setUp(self):
        super().setUp()
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": STRIPE_JS})
        with override_settings(
            STRIPE_API_BASE="https://api.stripe.com"
        ):  # the page; the API pays at the stand-in
            self.visit(f"/buy?type={self.type.pk}")

    def test_it_is_paid_through_stripe_js_and_our_page_takes_no_card(self):
        self.click("Continue to payment")
        self.click("Pay $10.00")
        self.shows("Your card has insufficient funds.")
        self.assertEqual(self.driver.find_elements("css selector", "main input"), [])
        self.assertEqual(Voucher.objects.count(), 0)
        intent = str(Transaction.objects.get().stripe_payment_intent_id)
        (_, key, secret, locale), mounted, confirmed = self.driver.execute_script("return window.said")
        self.assertEqual((key, locale), (settings.STRIPE_PUBLISHABLE_KEY, "en"))
        self.assertTrue(secret.startswith(f"{intent}_secret_"))
        self.assertEqual(mounted, ["mount", "payment", True])
        self.assertEqual(confirmed, ["confirmPayment", "if_required", f"{self.live_server_url}/payment"])
        self.stripe.pay(intent)
        self.click("Pay $10.00")
        self.at("/purchase")
        self.assertEqual(Voucher.objects.count(), 1)

    def test_the_way_back_from_a_bank_leads_to_the_purchase(self):
        self.click("Continue to payment")
        self.shows("Pay $10.00")
        intent = str(Transaction.objects.get().stripe_payment_intent_id)
        self.refusals.append("api/payments/confirm-payment/ .* status of 409")
        self.visit(f"/payment?payment_intent={intent}&redirect_status=failed")
        self.shows("The payment did not go through")
        self.stripe.pay(intent)
        self.visit(f"/payment?payment_intent={intent}&redirect_status=succeeded")
        self.at("/purchase")
        self.shows("Thank you! Your vouchers are ready.")
        self.visit(f"/buy?type={self.type.pk}")  # in the same tab
        self.click("Continue to payment")
        self.shows("Pay $10.00")
        self.assertEqual(Transaction.objects.count(), 2)


# The answer to one request of this method gets lost on its way, though the API has served it.
LOSE_AN_ANSWER = """
const fetched = window.fetch;
let lost = false;
window.fetch = async (url, options) => {
  const answer = await fetched(url, options);
  if (!lost && String(url).includes(arguments[0])) {
    lost = true;
    throw new TypeError("The connection broke.");
  }
  return answer;
};
"""


# The answers to one request never come, though the API has served it.
KEEP_ANSWERS = """
const [address] = arguments;
const fetched = window.fetch;
window.fetch = async (url, options) => {
  const answer = await fetched(url, options);
  if (!String(url).includes(address)) return answer;
  window.answered = true;
  return new Promise(() => {});
};
"""


class ConnectionTests(SignedInTestCase):
    def test_a_lost_answer_is_asked_for_again_and_nothing_is_bought_or_redeemed_twice(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3))
        self.visit(f"/buy?type={self.type.pk}")
        self.driver.execute_script(LOSE_AN_ANSWER, "/vouchers/purchase/")
        self.click("Continue to payment")
        self.shows("Pay $10.00")
        self.assertEqual(Transaction.objects.count(), 1)
        self.visit(f"/redeem#code={voucher.shown_code}")
        self.driver.execute_script(LOSE_AN_ANSWER, "/vouchers/redeem/")
        self.click("Redeem")
        self.shows("Redeemed")
        self.assertEqual(VoucherUsage.objects.count(), 1)
        self.refusals.append("status of 404")
        self.visit("/voucher#code=2345-6789-ABCD-EFGH")
        self.shows("There is no voucher with this code.")

    def test_a_redemption_whose_answer_a_reload_lost_is_not_made_twice(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3))
        self.visit(f"/redeem#code={voucher.shown_code}")
        self.driver.execute_script(KEEP_ANSWERS, "/vouchers/redeem/")
        self.click("Redeem")
        self.until("window.answered")
        self.driver.refresh()
        self.settled()
        self.click("Redeem")
        self.shows("Redeemed")
        self.assertEqual(VoucherUsage.objects.count(), 1)
        self.click("Redeem another")
        self.fill(code=voucher.shown_code)
        self.click("Redeem")
        self.shows("Redeemed")
        self.assertEqual(VoucherUsage.objects.count(), 2)

    def test_a_purchase_that_was_left_is_taken_up_again_in_the_same_tab(self):
        for _ in range(2):
            self.visit(f"/buy?type={self.type.pk}")
            self.click("Continue to payment")
            self.shows("Pay $10.00")
        self.assertEqual(Transaction.objects.count(), 1)

    def test_a_session_is_renewed_unseen_and_its_end_is_seen_in_every_tab(self):
        self.refusals.append("status of 401")
        self.driver.delete_cookie(cookies.ACCESS.name)
        self.click("Purchases")
        self.at("/purchases")
        self.shows("Nothing bought yet")
        Session.objects.update(ended_at=timezone.now())
        self.click("Account")
        self.at("/sign-in")
        self.shows("You are signed out.")
        self.sign_in()
        self.at("/account")  # where the way was leading
        first, windows = self.driver.current_window_handle, self.driver.window_handles
        self.driver.execute_script("open('/account', '_blank', 'noopener')")
        self.wait_for_window(len(windows) + 1)
        (second,) = set(self.driver.window_handles) - set(windows)
        self.driver.switch_to.window(second)
        self.settled()
        self.click("Sign out")
        self.at("/")
        self.driver.close()
        self.driver.switch_to.window(first)
        self.at("/sign-in")

    def wait_for_window(self, number):
        from selenium.webdriver.support.expected_conditions import number_of_windows_to_be
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, PATIENCE).until(number_of_windows_to_be(number))


class ControlTests(ShopTestCase):
    """What the other tests rely on does find what is wrong."""

    def test_control_a_faint_text_a_wide_page_an_error_and_another_site_are_seen(self):
        self.visit("/")
        self.assertAccessible("as it is")
        self.driver.execute_script(
            "const text = document.querySelector('.lead'); text.style.color = '#ddd'; text.style.background = '#fff'"
        )
        with self.assertRaisesMessage(AssertionError, "color-contrast"):
            self.assertAccessible("faint")
        self.driver.execute_script(
            "const text = document.querySelector('.lead'); text.style = ''; text.style.minWidth = '3000px'"
        )
        with self.assertRaisesMessage(AssertionError, "is too wide"):
            self.assertAccessible("wide")
        self.driver.execute_script("setTimeout(() => missing())")
        self.until("new Promise((resolve) => setTimeout(() => resolve(true)))")
        with self.assertRaisesMessage(AssertionError, "missing is not defined"):
            self.assertQuiet()
        self.driver.get("http://127.0.0.1:1/elsewhere")  # nobody is there
        self.assertEqual(self.hosts() - self.own_hosts(), {"127.0.0.1:1"})
        self.refusals.append("127.0.0.1:1")
