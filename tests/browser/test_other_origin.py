"""A page on another origin signs in with cookies and buys, in headless Chromium. Skipped where there is none."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.test import LiveServerTestCase, override_settings, tag

from apps.users.tests.factories import PASSWORD, make_customer
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type
from tests.browser.chromium import BrowserMixin
from tests.support.flush import FastFlushTestCase
from tests.support.stripe import StripeTestCase


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@tag("slow", "any-database")
class OtherOriginTests(BrowserMixin, StripeTestCase, FastFlushTestCase, LiveServerTestCase):
    def setUp(self):
        super().setUp()
        handler = functools.partial(Quiet, directory=str(Path(__file__).parent))
        pages = ThreadingHTTPServer(("localhost", 0), handler)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        self.addCleanup(pages.server_close)
        self.addCleanup(pages.shutdown)
        self.origin = f"http://localhost:{pages.server_port}"

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
