"""What tests of the second factor share: it is needed in all of them, and people get one as in the product."""

import re
import time

from django.test import Client as Browser
from django.test import override_settings
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from post_office.models import Email

from apps.authentication.second_factor import factors
from apps.users.models import User
from apps.users.tests.factories import PASSWORD
from tests.support.cases import ApiTestCase

LOGIN = "/admin/login/"
VERIFICATION = "/admin/second-factor/"
SET_UP = "/admin/second-factor/set-up/"
FACTORS = "/admin/second-factor/factors/"
RECOVERY_CODES = "/admin/second-factor/recovery-codes/"
API = "/api/auth/second-factor/"


def code_of(app: TOTPDevice) -> str:
    """The next code of the app that was not used: what a person reads who waits until it changes."""
    app.refresh_from_db()
    now = TOTP(app.bin_key, app.step, app.t0, app.digits, app.drift)
    now.time = max(time.time(), (app.last_t + 1 - app.drift) * app.step + app.t0)
    return f"{now.token():06}"


def give_app(user: User) -> TOTPDevice:
    """Give the user an authenticator app, as the page does once its code was right."""
    key = factors.new_totp_key()
    shown = TOTP(bytes.fromhex(key))
    shown.time = time.time()
    return factors.add_app(user=user, key=key, code=f"{shown.token():06}")


def sign_in(user: User, app: TOTPDevice | None = None, **options) -> Browser:
    """A browser that signed in to the admin by password and, with `app`, by its code."""
    browser = Browser(**options)
    browser.post(LOGIN, {"username": user.email, "password": PASSWORD})
    if app:
        browser.post(VERIFICATION, {"code": code_of(app)})
    return browser


def mails_to(user: User) -> list[str]:
    """The subjects of the mails to the user, the oldest first."""
    return list(Email.objects.filter(to=user.email).order_by("pk").values_list("subject", flat=True))


def mailed_code(user: User) -> str:
    """The code in the latest mail by which the user sets up a factor."""
    mail = Email.objects.filter(to=user.email, subject__startswith="Your code").latest("pk")
    [code] = re.findall(r"^  (\d{4} \d{4})$", mail.message, re.MULTILINE)
    return code


@override_settings(STAFF_SECOND_FACTOR=True)
class SecondFactorTestCase(ApiTestCase):
    def assertLedTo(self, response, path: str) -> None:
        """The answer leads to this page, and shows nothing itself."""
        self.assertEqual(response.status_code, 302, response.content[:500])
        self.assertEqual(response.headers["Location"].partition("?")[0], path)

    def assertInside(self, browser: Browser) -> None:
        """The browser is in the admin."""
        self.assertEqual(browser.get(FACTORS).status_code, 200)

    def assertOutside(self, browser: Browser, page: str = VERIFICATION) -> None:
        """The browser is not in the admin, and is led to the second factor."""
        self.assertLedTo(browser.get("/admin/"), page)
