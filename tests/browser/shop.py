"""A person at the reference shop, in headless Chromium: what the tests of the shop share."""

import json
import re
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from unittest import skipUnless
from urllib.parse import urlsplit

from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import override_settings, tag

from apps.users.tests.factories import PASSWORD, make_customer
from apps.vouchers.tests.factories import make_type
from tests.browser.chromium import BrowserMixin
from tests.support.flush import FastFlushTestCase
from tests.support.stripe import StripeTestCase

PATIENCE: Final = 60  # seconds until what is waited for has failed
PHONE, DESK = 390, 1400  # pixels
TOO_BAD: Final = ("serious", "critical")
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@tag("slow", "any-database")
@skipUnless(
    find_spec("selenium_axe_python") and find_spec("zxingcpp"),
    "selenium-axe-python and zxing-cpp come with requirements-dev.txt",
)
class ShopTestCase(BrowserMixin, StripeTestCase, FastFlushTestCase, StaticLiveServerTestCase):
    """A person at a browser that nobody used before. Nothing that it did goes unread: see tearDown."""

    def setUp(self):
        super().setUp()
        # The names of production, which Chromium takes over plain HTTP from localhost too.
        names = {"CSRF_COOKIE_NAME": "__Host-csrftoken", "CSRF_COOKIE_SECURE": True}
        self.enterContext(override_settings(FRONTEND_URL=self.live_server_url, **names))
        self.driver = self.browser()
        self.driver.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": "en-US"})
        self.width(DESK)
        self.refusals: list[
            str
        ] = []  # of the console's lines, those that a test expects: requests refused on purpose

    def tearDown(self):
        self.assertQuiet()
        super().tearDown()

    # --- The window ---

    def width(self, pixels, scheme="light"):
        """A window of this width, of a person who prefers a light or a dark page."""
        size = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        preference = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": preference})

    def visit(self, address):
        """Open an address of the shop, or a whole one, as from a mail."""
        address = address if "://" in address else f"{self.live_server_url}{address}"
        self.driver.get("about:blank")  # so that a new fragment is a new visit
        self.driver.get(address)
        self.settled()

    def settled(self):
        self.until("document.querySelector('#main h1') && !document.querySelector('#main[aria-busy]')")

    def until(self, condition, *arguments):
        """Wait for a condition in JavaScript; what it is."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            return WebDriverWait(self.driver, PATIENCE, 0.1).until(
                lambda driver: driver.execute_script(f"return {condition}", *arguments)
            )
        except TimeoutException:
            self.fail(f"{condition} {arguments}: never, at {self.driver.current_url}\n{self.text()}")

    def at(self, path):
        """Wait until the shop has come to this address, and shows it."""
        self.until("location.pathname === arguments[0]", path)
        self.settled()

    # --- What a person does and reads ---

    def text(self):
        return self.driver.execute_script("return document.body.innerText")

    def shows(self, text):
        self.until("document.body.innerText.includes(arguments[0])", text)

    def element(self, selector):
        self.until("document.querySelector(arguments[0]) !== null", selector)
        return self.driver.find_element("css selector", selector)

    def click(self, words):
        """Click the button or link that says this, or is named so; those of the page go before those of the bar."""
        element = self.until(
            "['dialog', 'main', 'aside', 'nav']"
            ".flatMap((place) => [...document.querySelectorAll(`${place} :is(a, button)`)])"
            ".find((each) => each.checkVisibility() && (each.ariaLabel ?? each.innerText).trim() === arguments[0])",
            words,
        )
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def fill(self, **fields):
        for name, value in fields.items():
            element = self.element(
                f"dialog[open] [name={name}], body:not(:has(dialog[open])) main [name={name}]"
            )
            if element.tag_name == "select":
                from selenium.webdriver.support.ui import Select

                Select(element).select_by_visible_text(str(value))
            else:
                element.clear()
                element.send_keys(value)

    def error_beside(self, name):
        """What is said beside a field; it is also marked as wrong, and has the focus."""
        field = f"document.querySelector('[data-field={name}].wrong')"
        self.until(f"{field} !== null")
        focused = self.driver.execute_script(f"return {field}.contains(document.activeElement)")
        self.assertTrue(focused, "the focus is elsewhere")
        return self.driver.execute_script(f"return {field}.querySelector('.error').innerText")

    def qr_content(self):
        """What a phone reads from the QR code on the screen."""
        import zxingcpp
        from PIL import Image

        self.until("document.querySelector('img.qr')?.naturalWidth > 0")
        picture = Image.open(BytesIO(self.element("img.qr").screenshot_as_png))
        (code,) = zxingcpp.read_barcodes(picture)
        return code.text

    # --- What holds on every page ---

    def assertAccessible(self, name):
        """axe-core finds nothing serious, and nobody has to scroll sideways."""
        result = self.run_axe(RULES)
        findings = [
            (each["id"], [(node["target"], node["failureSummary"]) for node in each["nodes"]])
            for each in result["violations"]
            if each["impact"] in TOO_BAD
        ]
        self.assertEqual(findings, [], name)
        self.assertGreater(len(result["passes"]), 10)
        overflow = "return document.documentElement.scrollWidth - innerWidth"
        self.assertLessEqual(self.driver.execute_script(overflow), 0, f"{name} is too wide")

    def run_axe(self, rules) -> dict[str, Any]:
        """What axe-core says of the page."""
        import selenium_axe_python

        script = Path(selenium_axe_python.__file__).parent / "axe-core/axe.min.js"
        if not self.driver.execute_script("return 'axe' in window"):
            self.driver.execute_script(script.read_text())
        return self.driver.execute_async_script(
            "axe.run(document, {runOnly: arguments[0], resultTypes: ['violations']}).then(arguments[1])",
            rules,
        )

    def assertQuiet(self):
        """No error in the console but the refusals that the test expects, and no request to another site."""
        severe = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        expected = re.compile("|".join(self.refusals) or r"(?!)")
        self.assertEqual([line for line in severe if not expected.search(line)], [])
        self.assertEqual(self.hosts() - self.own_hosts(), set())

    def own_hosts(self):
        return {urlsplit(address).netloc for address in (self.live_server_url, self.stripe.base_url)}

    def hosts(self):
        """Whom the browser asked since it was asked last."""
        messages = (json.loads(line["message"])["message"] for line in self.driver.get_log("performance"))
        addresses = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return {urlsplit(address).netloc for address in addresses if address.startswith("http")}


class SignedInTestCase(ShopTestCase):
    """Carla is signed in, and looks at her vouchers."""

    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.type = make_type(name="Exam Results Checking")
        self.visit("/sign-in")
        self.sign_in()
        self.at("/vouchers")

    def sign_in(self):
        self.fill(email=self.customer.email, password=PASSWORD)
        self.click("Sign in")
