"""A page on another origin signs in with cookies and buys, in headless Chromium. Skipped where there is none."""

import functools
import shutil
import tempfile
import threading
import unittest
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.test import LiveServerTestCase, override_settings

from apps.users.tests.factories import PASSWORD, make_customer
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.support.stripe import StripeTestCase

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SELENIUM = find_spec("selenium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@unittest.skipUnless(CHROMIUM and DRIVER and SELENIUM, "needs chromium, chromedriver and selenium")
class OtherOriginTests(StripeTestCase, LiveServerTestCase):
    def setUp(self):
        super().setUp()
        handler = functools.partial(Quiet, directory=str(Path(__file__).parent))
        pages = ThreadingHTTPServer(("localhost", 0), handler)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        self.addCleanup(pages.server_close)
        self.addCleanup(pages.shutdown)
        self.origin = f"http://localhost:{pages.server_port}"

    def browser(self):
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = str(CHROMIUM)
        profile = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, profile, ignore_errors=True)
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.addCleanup(driver.quit)
        return driver

    def walk(self, origins):
        customer = make_customer()
        make_type()
        driver = self.browser()
        driver.set_script_timeout(30)
        query = urlencode({"api": f"{self.live_server_url}/api", "stripe": self.stripe.base_url})
        # The names of production, which Chromium takes over plain HTTP from localhost too.
        names = {"CSRF_COOKIE_NAME": "__Host-csrftoken", "CSRF_COOKIE_SECURE": True}
        with override_settings(CORS_ALLOWED_ORIGINS=origins, CSRF_TRUSTED_ORIGINS=origins, **names):
            driver.get(f"{self.origin}/page.html?{query}")
            return driver.execute_async_script(
                "const done = arguments[2];"
                "walk(arguments[0], arguments[1]).then(done, error => done({error: String(error)}))",
                customer.email,
                PASSWORD,
            )

    def test_it_signs_in_buys_refreshes_and_signs_out_with_cookies(self):
        self.assertEqual(
            self.walk([self.origin]),
            {
                "login": [200, False, False],  # no token in the body, none that a script could read
                "profile": [200, "carla@example.com"],
                "purchase": 201,
                "paid": "succeeded",
                "confirmed": [200, 1],
                "refreshed": [200, False],
                "logout without the CSRF token": 403,
                "logout": 200,
                "profile after logout": 401,
            },
        )
        self.assertEqual(Voucher.objects.count(), 1)

    def test_an_origin_that_is_not_named_gets_nowhere(self):
        self.assertEqual(self.walk(["http://app.example.com"]), {"error": "TypeError: Failed to fetch"})
        self.assertEqual(Voucher.objects.count(), 0)
