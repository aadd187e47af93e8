"""The shop's page: where it is, what it may load, and that it is off where nobody asked for it."""

import re
from pathlib import Path

from django.test import TestCase, override_settings
from django.urls import reverse

from shop import urls, views

ADDRESSES = ["/", *(f"/{name}" for name in urls.VIEWS)]
STATIC = Path(__file__).parent.parent / "static/shop"
REAL = {
    "STRIPE_API_BASE": "https://api.stripe.com",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_0123456789AbCdEf",
}


class PageTests(TestCase):
    def policy(self):
        """The page's Content-Security-Policy, as {directive: its sources}."""
        text = self.client.get("/").headers["Content-Security-Policy"]
        parts = [part.split() for part in text.split(";")]
        return {name: sources for name, *sources in parts}

    def test_every_address_has_the_page(self):
        for address in ADDRESSES:
            with self.subTest(address):
                response = self.client.get(address)
                self.assertContains(response, 'src="/static/shop/main.js"')
                self.assertEqual(self.client.head(address).status_code, 200)
                self.assertEqual(self.client.post(address).status_code, 405)

    def test_the_links_of_mails_and_paper_are_among_them(self):
        for address in ("/redeem", "/reset-password", "/unsubscribe"):
            self.assertIn(address, ADDRESSES)

    def test_the_script_knows_the_same_addresses(self):
        routes = re.findall(
            r'^  "(/[a-z-]*)": \(\) => import', (STATIC / "router.js").read_text(), re.MULTILINE
        )
        self.assertEqual(sorted(routes), sorted(ADDRESSES))

    def test_in_development_it_leads_to_the_page_of_all_mails(self):
        self.assertContains(self.client.get("/"), 'data-mail-page=""')
        with override_settings(DEBUG=True, EMAIL_BACKEND=views.MAIL_PAGE):
            self.assertEqual(self.client.get("/mail/").status_code, 200)
            self.assertContains(self.client.get("/"), 'data-mail-page="/mail/"')

    def test_its_icon_is_where_browsers_look_for_one(self):
        self.assertRedirects(
            self.client.get("/favicon.ico"), "/static/shop/icon.svg", fetch_redirect_response=False
        )

    def test_no_other_address_has_it(self):
        self.assertEqual(self.client.get("/nothing").status_code, 404)

    @override_settings(REFERENCE_SHOP=False)
    def test_it_can_be_off(self):
        for address in (*ADDRESSES, "/favicon.ico"):
            with self.subTest(address):
                self.assertEqual(self.client.get(address).status_code, 404)
                self.assertEqual(self.client.post(address).status_code, 404)
        self.assertEqual(self.client.get("/api/").status_code, 200)

    def test_a_browser_never_compares_it_with_an_older_one(self):
        first = self.client.get("/")
        self.assertEqual(first.headers["Cache-Control"], "no-store")
        self.assertNotIn(
            "ETag", first.headers
        )  # with one a browser would get a 304, and that the policy of no page

    @override_settings(STRIPE_API_BASE="http://127.0.0.1:12345", STRIPE_PUBLISHABLE_KEY="pk_test_local")
    def test_with_the_local_stripe_it_loads_from_this_site_alone_and_pays_there(self):
        self.assertContains(self.client.get("/"), 'data-local-stripe="http://127.0.0.1:12345"')
        policy = self.policy()
        self.assertEqual(policy["default-src"], ["'none'"])
        self.assertEqual(policy["script-src"], ["'self'"])
        self.assertEqual(policy["style-src"], ["'self'"])
        self.assertEqual(policy["connect-src"], ["'self'", "http://127.0.0.1:12345"])
        self.assertEqual(policy["frame-src"], ["http://127.0.0.1:12345"])
        self.assertEqual(policy["frame-ancestors"], ["'none'"])

    @override_settings(**REAL)
    def test_with_a_real_account_the_script_is_stripes(self):
        self.assertContains(self.client.get("/"), 'data-local-stripe=""')
        policy = self.policy()
        self.assertIn("https://js.stripe.com", policy["script-src"])
        self.assertEqual(policy["connect-src"], ["'self'", "https://api.stripe.com"])
        self.assertIn("https://hooks.stripe.com", policy["frame-src"])

    @override_settings(**REAL | {"STRIPE_API_BASE": "https://proxy.example.org"})
    def test_no_form_of_ours_takes_a_card_where_the_key_is_live(self):
        self.assertContains(self.client.get("/"), 'data-local-stripe=""')

    def test_every_file_that_a_module_imports_is_there(self):
        modules = list(STATIC.rglob("*.js"))
        self.assertGreater(len(modules), 20)
        for module in modules:
            for name in re.findall(r"""(?:from|import\()\s*"(\./[^"]+|\.\./[^"]+)\"""", module.read_text()):
                with self.subTest(module.name, name=name):
                    self.assertTrue((module.parent / name).is_file())

    def test_it_asks_no_other_site_for_anything_but_stripes_script(self):
        addresses = set()
        for path in (*STATIC.rglob("*.js"), *STATIC.rglob("*.css")):
            text = re.sub(r"^\s*(//|\*|/\*).*$", "", path.read_text(), flags=re.MULTILINE)
            addresses |= set(re.findall(r"https?://[^\s\"'`)]+", text))
        self.assertEqual(addresses, {"https://js.stripe.com/clover/stripe.js", "http://www.w3.org/2000/svg"})

    def test_the_index_of_the_api_leads_to_its_description(self):
        index = self.client.get("/api/").json()
        self.assertEqual(index["docs"], f"http://testserver{reverse('docs')}")
        for name in ("docs", "schema", "health"):
            self.assertEqual(self.client.get(index[name]).status_code, 200)
