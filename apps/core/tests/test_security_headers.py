"""Every answer tells browsers what it may do, whoever made it."""

from django.test import override_settings

from apps.core.security_headers import HEADERS
from apps.users.tests.factories import make_staff
from tests.support.cases import ApiTestCase

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class SecurityHeadersTests(ApiTestCase):
    def answers(self):
        """Answers of views and of all that answers before one."""
        yield "view", self.api.get("/api/vouchers/types/")
        yield "refused by a view", self.api.get("/api/vouchers/my-vouchers/")
        yield "unknown address", self.api.get("/api/nothing/")
        yield "unknown page", self.api.get("/nothing/")
        yield "too large", self.api.post("/api/auth/login/", {"email": "x" * 300_000})
        yield "bad address", self.api.get("/nothing/?x=%00")
        yield "no slash", self.api.get("/api/vouchers/types")
        yield "unknown host", self.api.get("/api/health/", headers={"Host": "evil.example"})
        yield (
            "preflight",
            self.api.options(
                "/api/vouchers/types/",
                headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"},
            ),
        )
        with override_settings(SECURE_SSL_REDIRECT=True):
            yield "sent to https", self.api.get("/api/vouchers/types/")

    def test_answers_that_are_no_pages_may_load_nothing(self):
        for name, response in self.answers():
            with self.subTest(name):
                self.assertEqual(response.headers["Content-Security-Policy"], NOTHING)
                for header, value in HEADERS.items():
                    self.assertEqual(response.headers[header], value)

    def test_pages_take_everything_from_this_site(self):
        staff = self.signed_in(make_staff())
        staff.force_login(make_staff(email="admin@example.com"))
        for address, script in (
            ("/api/docs/", "script-src 'self';"),
            ("/admin/", "script-src 'self' 'unsafe-eval';"),
            ("/admin/login/", "script-src 'self' 'unsafe-eval';"),
            ("/admin/nothing/", "script-src 'self' 'unsafe-eval';"),
        ):
            with self.subTest(address):
                policy = staff.get(address).headers["Content-Security-Policy"]
                self.assertIn(script, policy)
                for part in (
                    "default-src 'none'",
                    "frame-ancestors 'none'",
                    "base-uri 'none'",
                    "form-action 'self'",
                ):
                    self.assertIn(part, policy)
                self.assertNotIn("http", policy)

    def test_pages_for_developers_keep_their_scripts(self):
        with override_settings(DEBUG=True):
            self.assertNotIn("Content-Security-Policy", self.api.get("/nothing/").headers)
