"""Every screen of the back office in headless Chromium, at the width of a desk and of a phone."""

from typing import Any, Final

from django.conf import settings
from django.test import Client, override_settings

from apps.authentication.tests.second_factor import (
    FACTORS,
    RECOVERY_CODES,
    SET_UP,
    VERIFICATION,
    code_of,
    give_app,
    mailed_code,
)
from tests.browser.admin import BackOffice
from tests.browser.shop import DESK, PHONE, RULES, TOO_BAD, ShopTestCase

# What axe finds in elements that Django's scripts draw: the selectors of these elements, by the name of the rule.
NOT_OURS: Final = {
    "aria-prohibited-attr": ".selector .help-tooltip",  # the icon beside the filter of a selector
    "aria-input-field-name": ".select2-selection, .select2-selection__rendered",
}
LOGIN: Final = "/admin/login/"


class AdminScreensTests(ShopTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.refusals = ["favicon.ico"]  # the browser asks for an icon by itself, whatever the page says
        self.office = BackOffice()
        self.client = Client()
        self.client.force_login(self.office.staff)
        self.driver.get(f"{self.live_server_url}/api/health/")  # a cookie is set on a page of its site
        self.share_session()

    def share_session(self) -> None:
        """Let the browser go on in the session of `self.client`."""
        name = settings.SESSION_COOKIE_NAME
        self.driver.add_cookie({"name": name, "value": self.client.cookies[name].value, "path": "/"})

    def test_each_is_whole_quiet_and_accessible_at_each_width(self) -> None:
        for address in self.office.screens():
            self.look_at(address)
        self.driver.delete_all_cookies()
        self.look_at(LOGIN)

    def test_the_pages_of_the_second_factor_are_too(self) -> None:
        with override_settings(STAFF_SECOND_FACTOR=True):
            self.look_at(SET_UP, "Mail me a code")
            self.client.post(SET_UP, {"send": ""})
            self.look_at(SET_UP, "Code from the mail")
            self.client.post(SET_UP, {"code": mailed_code(self.office.staff)})
            self.look_at(SET_UP, "Add a passkey")
            app = give_app(self.office.staff)
            self.look_at(VERIFICATION, "Code")
            self.client.post(VERIFICATION, {"code": code_of(app)})
            self.share_session()
            self.look_at(FACTORS, "Authenticator app")
            self.look_at(RECOVERY_CODES, "Make recovery codes")
            self.press("Make recovery codes")
            self.until("document.body.innerText.includes('They are shown only now')")
            self.check_page(RECOVERY_CODES)

    def test_control_a_page_that_is_none_of_these_is_caught(self) -> None:
        self.driver.get(f"{self.live_server_url}{LOGIN}")
        self.assertEqual(self.faults(DESK), [])
        self.driver.execute_script(
            "document.body.innerHTML += '<img src=\"/favicon.ico\">';"
            "document.body.lastChild.style = 'position: absolute; width: 1500px; max-width: none';"
            "console.error('broken')"
        )
        too_wide, unnamed = self.faults(DESK)
        self.assertEqual((too_wide, unnamed[0]), ("1500 pixels wide", "image-alt"))
        with self.assertRaisesRegex(AssertionError, "broken"):
            self.assertQuiet()

    def press(self, text: str) -> None:
        self.driver.execute_script(
            "[...document.querySelectorAll('button')].find(each => each.innerText.includes(arguments[0])).click()",
            text,
        )

    # --- One screen ---

    def look_at(self, address: str, text: str = "") -> None:
        """Open an address, which shows the text, and check its page at both widths."""
        with self.subTest(address):
            self.driver.get(f"{self.live_server_url}{address}")
            self.assertEqual(
                self.driver.execute_script("return location.pathname"), address.partition("?")[0]
            )
            self.assertIn(text, self.text())
            self.check_page(address)

    def check_page(self, address: str) -> None:
        for width in (DESK, PHONE):
            self.width(width)
            self.assertEqual(self.faults(width), [], f"{address} at {width} pixels")
        self.assertQuiet()

    def faults(self, width: int) -> list[Any]:
        """What is wrong with the page at this width: that it scrolls sideways, and what axe calls serious."""
        # The layout follows the window in the next frame.
        pixels = self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done(document.documentElement.scrollWidth)))"
        )
        result = self.run_axe(RULES)
        self.assertGreater(len(result["passes"]), 10)
        violations = [
            (violation["id"], node["target"], node["html"][:200])
            for violation in result["violations"]
            if violation["impact"] in TOO_BAD
            for node in violation["nodes"]
            if not self.is_other(violation["id"], node["target"][-1])
        ]
        return ([f"{pixels} pixels wide"] if pixels > width else []) + violations

    def is_other(self, rule: str, target: str) -> bool:
        """Whether what the rule complains of is an element that is not of our making."""
        return rule in NOT_OURS and self.driver.execute_script(
            "return document.querySelector(arguments[0]).matches(arguments[1])", target, NOT_OURS[rule]
        )
