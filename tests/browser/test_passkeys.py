"""A member of staff sets up a passkey and signs in by it, in headless Chromium with an authenticator of its own.

On the way the pages are looked at, at the width of a phone: nothing is cut off, and nothing goes to the console.
"""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session as AdminSession
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import override_settings
from django_otp_webauthn.models import WebAuthnCredential

from apps.authentication.second_factor import factors
from apps.authentication.tests.second_factor import mailed_code
from apps.users.tests.factories import PASSWORD, make_staff
from tests.browser.chromium import BrowserMixin

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@override_settings(STAFF_SECOND_FACTOR=True, ALLOWED_HOSTS=["localhost"])
class PasskeyTests(BrowserMixin, StaticLiveServerTestCase):
    host = "localhost"  # browsers have no passkeys for addresses of numbers

    def setUp(self) -> None:
        super().setUp()
        self.staff = make_staff()
        self.driver: Any = self.browser()
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        self.driver.execute_cdp_cmd("WebAuthn.enable", {})
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
        seen = {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
        self.authenticator = self.driver.execute_cdp_cmd(
            "WebAuthn.addVirtualAuthenticator", {"options": {**options, **seen}}
        )["authenticatorId"]

    def wait(self, condition: str) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 30).until(
            lambda driver: driver.execute_script(
                f"return document.readyState === 'complete' && ({condition})"
            )
        )

    def at(self, path: str) -> None:
        """Wait for the page, and look at it."""
        self.wait(f"location.pathname === '{path}'")
        width = self.driver.execute_script("return document.documentElement.scrollWidth")
        self.assertLessEqual(width, PHONE["width"], f"{path} scrolls sideways")
        lines = [line["message"] for line in self.driver.get_log("browser")]
        # The browser asks for an icon by itself, whatever the page says.
        self.assertEqual([line for line in lines if "favicon.ico" not in line], [], path)

    def fill(self, **fields: str) -> None:
        """Write into the fields of the page, and send their form."""
        for name, value in fields.items():
            self.driver.execute_script(
                "document.querySelector(`[name=${arguments[0]}]`).value = arguments[1]", name, value
            )
        self.driver.execute_script(
            "const form = document.querySelector(`[name=${arguments[0]}]`).form;"
            "form.noValidate = true; form.requestSubmit()",
            next(iter(fields)),
        )

    def press(self, text: str) -> None:
        self.wait(
            f"[...document.querySelectorAll('button')].some(button => button.innerText.includes('{text}'))"
        )
        self.driver.execute_script(
            "[...document.querySelectorAll('button')].find(button => button.innerText.includes(arguments[0])).click()",
            text,
        )

    def sign_in(self, path: str) -> None:
        self.driver.get(f"{self.live_server_url}{path}")
        self.at("/admin/login/")
        self.fill(username=self.staff.email, password=PASSWORD)

    def test_a_passkey_is_set_up_opens_the_admin_and_is_a_fresh_proof(self) -> None:
        self.sign_in("/admin/users/user/")
        self.at("/admin/second-factor/set-up/")
        self.press("Mail me a code")
        self.wait("document.querySelector('[name=code]')")
        self.fill(code=mailed_code(self.staff))
        self.wait("document.querySelector('svg')")
        self.at("/admin/second-factor/set-up/")
        self.press("Add a passkey")
        self.at("/admin/second-factor/recovery-codes/")
        self.assertEqual([factor.kind for factor in factors.factors_of(self.staff)], ["Passkey"])
        self.press("Make recovery codes")
        self.wait("document.querySelectorAll('li').length >= 10")
        self.at("/admin/second-factor/recovery-codes/")

        # Another day: the password, then the passkey.
        self.driver.delete_all_cookies()
        self.sign_in("/admin/users/user/")
        self.at("/admin/second-factor/")
        self.press("Use a passkey")
        self.at("/admin/users/user/")
        passkey = WebAuthnCredential.objects.get()
        self.assertIsNotNone(passkey.last_used_at)

        # An hour later something needs a fresh proof, and goes on with it.
        self.age_the_proof()
        self.driver.get(f"{self.live_server_url}/admin/second-factor/set-up/")
        self.wait("document.body.innerText.includes('proof of the last ten minutes')")
        self.press("Use a passkey")
        self.wait("document.querySelector('svg')")
        # The device has a passkey of theirs already, and makes no second one.
        self.press("Add a passkey")
        self.wait("document.body.innerText.includes('among your passkeys already')")
        self.driver.get(f"{self.live_server_url}/admin/second-factor/factors/")
        self.at("/admin/second-factor/factors/")

        # Where the key is not at hand the page says so, and opens nothing.
        self.driver.execute_cdp_cmd("WebAuthn.clearCredentials", {"authenticatorId": self.authenticator})
        self.driver.delete_all_cookies()
        self.sign_in("/admin/")
        self.press("Use a passkey")
        self.wait("document.querySelector('[role=alert]').innerText !== ''")
        self.driver.get(f"{self.live_server_url}/admin/users/user/")
        self.wait("location.pathname === '/admin/second-factor/'")

    def age_the_proof(self) -> None:
        for key in AdminSession.objects.values_list("session_key", flat=True):
            store = SessionStore(key)
            store["second_factor_proved_at"] = 0
            store.save()
