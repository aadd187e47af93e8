"""What the settings accept: an unsafe production refuses to start, and says why without telling secrets."""

import re
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings

from apps.payments.checks import debug_with_live_keys
from tests.support.configuration import (
    KEY,
    NAMES,
    ROOT,
    TEST_KEYS,
    ConfigurationTestCase,
    load,
    manage,
)

SECRETS = [KEY, "pw-of-the-database", "sk_live_0123456789AbCdEf", "whsec_0123456789AbCdEf"]

LIVE = "sk_live_0123456789AbCdEf"
EXAMPLE_SECRET_KEYS = (
    "sk_test_your_secret_key_here",
    "sk_live_your-key",
    "sk_test_local",
    "sk_live_...",
    "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
    "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "sk_live_01234",
)

# What is wrong, and the start of the one line that says so.
REFUSALS: list[tuple[dict[str, str], str]] = [
    ({"AWS_ACCESS_KEY_ID": "AKIA0123456789"}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together"),
    ({"EMAIL_USE_TLS": "True", "EMAIL_USE_SSL": "True"}, "EMAIL_USE_TLS and EMAIL_USE_SSL are both on"),
    ({"SECRET_KEY": ""}, "SECRET_KEY is missing"),
    ({"SECRET_KEY": KEY[:24]}, "SECRET_KEY is too short"),
    ({"SECRET_KEY": "a" * 60}, "SECRET_KEY is an example"),
    ({"SECRET_KEY": f"django-insecure-{KEY}"}, "SECRET_KEY is an example"),
    ({"SECRET_KEY": "change-me-" * 6}, "SECRET_KEY is an example"),
    (
        {"SECRET_KEY": "local-development-key-never-used-with-debug-off-0123456789"},
        "SECRET_KEY is an example",
    ),
    ({"JWT_SIGNING_KEY": "short"}, "JWT_SIGNING_KEY is too short"),
    ({"JWT_PREVIOUS_SIGNING_KEY": "short"}, "JWT_PREVIOUS_SIGNING_KEY is too short"),
    ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN is too short"),
    ({"METRICS_TOKEN": f"{KEY} # ours"}, "METRICS_TOKEN has a blank"),
    ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS is empty"),
    ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS is '*'"),
    ({"ALLOWED_HOSTS": "vouchers.example.org, *"}, "ALLOWED_HOSTS is '*'"),
    ({"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY is missing"),
    ({"STRIPE_PUBLISHABLE_KEY": ""}, "STRIPE_PUBLISHABLE_KEY is missing"),
    (
        {"STRIPE_PUBLISHABLE_KEY": "sk_live_0123456789AbCdEf"},
        "STRIPE_PUBLISHABLE_KEY does not begin with pk_",
    ),
    ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET is missing"),
    ({"STRIPE_WEBHOOK_SECRET": " , "}, "STRIPE_WEBHOOK_SECRET is missing"),
    *(({"STRIPE_SECRET_KEY": key}, "STRIPE_SECRET_KEY is an example") for key in EXAMPLE_SECRET_KEYS),
    *(
        ({"STRIPE_SECRET_KEY": key}, "STRIPE_SECRET_KEY does not begin with")
        for key in ("none", "whsec_x", KEY)
    ),
    ({"STRIPE_SECRET_KEY": "pk_live_0123456789AbCdEf"}, "STRIPE_SECRET_KEY does not begin with"),
    *(
        ({"STRIPE_SECRET_KEY": f"{LIVE}{end}"}, "STRIPE_SECRET_KEY has a blank")
        for end in (" ", "\n", " # live", "#live", '"')
    ),
    ({"STRIPE_SECRET_KEY": f"'{LIVE}'"}, "STRIPE_SECRET_KEY has a blank"),
    ({"STRIPE_PUBLISHABLE_KEY": "pk_live_your_publishable_key"}, "STRIPE_PUBLISHABLE_KEY is an example"),
    ({"STRIPE_PUBLISHABLE_KEY": "pk_none"}, "STRIPE_PUBLISHABLE_KEY does not begin with pk_live_"),
    *(
        ({"STRIPE_WEBHOOK_SECRET": secret}, "STRIPE_WEBHOOK_SECRET is an example")
        for secret in (
            "whsec_local",
            "whsec_your_webhook_secret_here",
            "whsec_...",
            "whsec_0123456789AbCdEf,whsec_test",
        )
    ),
    ({"STRIPE_WEBHOOK_SECRET": "0123456789AbCdEf"}, "STRIPE_WEBHOOK_SECRET does not begin with whsec_"),
    (
        {"STRIPE_PUBLISHABLE_KEY": TEST_KEYS["STRIPE_PUBLISHABLE_KEY"]},
        "STRIPE_SECRET_KEY is a live key and STRIPE_PUBLISHABLE_KEY a test key",
    ),
    (
        {"STRIPE_SECRET_KEY": TEST_KEYS["STRIPE_SECRET_KEY"], "STRIPE_TEST_MODE": "True"},
        "STRIPE_SECRET_KEY is a test key and STRIPE_PUBLISHABLE_KEY a live key",
    ),
    (TEST_KEYS | {"STRIPE_TEST_MODE": ""}, "STRIPE_SECRET_KEY is a test key, nobody would pay"),
    ({"STRIPE_TEST_MODE": "True"}, "STRIPE_TEST_MODE is True but STRIPE_SECRET_KEY is a live key"),
    ({"STRIPE_API_BASE": "http://stripe.internal"}, "STRIPE_API_BASE does not begin with https://"),
    ({"STRIPE_API_BASE": "http://api.stripe.com"}, "STRIPE_API_BASE does not begin with https://"),
    ({"STRIPE_API_BASE": "api.stripe.com"}, "STRIPE_API_BASE is not an address"),
    ({"STRIPE_API_BASE": "https://[x"}, "STRIPE_API_BASE is not an address"),
    ({"CORS_ALLOWED_ORIGINS": "*"}, "CORS_ALLOWED_ORIGINS is '*'"),
    ({"STRIPE_API_BASE": "http://127.0.0.1:12111"}, "STRIPE_API_BASE is a local address"),
    ({"STRIPE_API_BASE": "http://localhost:12111"}, "STRIPE_API_BASE is a local address"),
    ({"DATABASE_URL": ""}, "DATABASE_URL is SQLite"),
    ({"DATABASE_URL": "sqlite:///data.sqlite3"}, "DATABASE_URL is SQLite"),
    (
        {"CSRF_COOKIE_NAME": "__Host-csrftoken", "CSRF_COOKIE_DOMAIN": ".example.org"},
        "CSRF_COOKIE_NAME begins with __Host-",
    ),
    *(
        ({"DEFAULT_FROM_EMAIL": sender}, "DEFAULT_FROM_EMAIL is no sender")
        for sender in (
            "vouchers",
            "Voucher App <vouchers@>",
            "Voucher App, Ltd <vouchers@example.org>",  # the comma needs quotation marks
            "Vouchers [test] <vouchers@example.org>",
            "vouchers@example.org, desk@example.org",
            "vouchers@exam\u200bple.org",
            "Vouchers <vouchers@example.org>\nBcc: all@example.org",
        )
    ),
]

UNREADABLE = [
    ("DEBUG", "perhaps"),
    ("ALLOW_SQLITE", "perhaps"),
    ("EMAIL_USE_TLS", "perhaps"),
    ("STRIPE_TEST_MODE", "perhaps"),
    ("REFERENCE_SHOP", "perhaps"),
    ("EMAIL_PORT", "perhaps"),
    ("TRUSTED_PROXY_COUNT", "perhaps"),
    ("TRUSTED_PROXY_COUNT", "-1"),
    ("DEFAULT_CURRENCY", "dollars"),
    ("INSTALLATION", "x" * 101),
    ("REVERSAL_WINDOW_DAYS", "perhaps"),
    ("SECOND_PERSON_REFUNDS", "500"),
    ("SECOND_PERSON_REFUNDS", "USD:-1"),
    ("SECOND_PERSON_REFUNDS", "USD:0.005"),
    ("SECOND_PERSON_REFUNDS", "USD:500,usd:600"),
    ("SECOND_PERSON_CODE_EXPORTS", "USD:NaN"),
    ("SECOND_PERSON_CODE_EXPORTS", "dollars:500"),
    ("TIME_ZONE", "Mars/Olympus"),
    ("LOG_LEVEL", "LOUD"),
    ("LOG_FORM", "prose"),
    ("SLOW_REQUEST_MS", "-1"),
    ("SENTRY_DSN", "o1.ingest.sentry.io/1"),
    ("SENTRY_DSN", "https://o1.ingest.sentry.io/1"),
    ("SENTRY_DSN", "https://key@o1.ingest.sentry.io/"),
    ("SENTRY_DSN", "https://key@o1.ingest.sentry.io/1 # ours"),
    ("SLOW_QUERY_MS", "a while"),
    ("DATABASE_URL", "nowhere://x"),
    ("LIMIT_REGISTER", "often"),
    ("REDIS_URL", "redis.internal:6379"),
    ("REDIS_URL", "https://redis.internal"),
    ("CORS_ALLOWED_ORIGINS", "app.example.org"),
    ("CORS_ALLOWED_ORIGINS", "https://app.example.org,https://www.example.org/"),
    ("CORS_ALLOWED_ORIGINS", "https://"),
    ("FRONTEND_URL", "app.example.org"),
    ("FRONTEND_URL", "https://app.example.org/#redeem"),
    ("API_URL", "api.example.org"),
    ("MEDIA_STORAGE", "media"),
    ("MEDIA_STORAGE", "s3://media?acl=public"),
]

ACCEPTED: list[dict[str, str]] = [
    {},
    {"DATABASE_URL": "sqlite:///data.sqlite3", "ALLOW_SQLITE": "True"},
    TEST_KEYS,
    TEST_KEYS | {"STRIPE_API_BASE": "http://127.0.0.1:12111"},
    TEST_KEYS | {"STRIPE_API_BASE": "http://stripe:12111"},
    {"STRIPE_SECRET_KEY": "rk_live_0123456789AbCdEf"},
    {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789AbCdEf, whsec_fEdCbA9876543210,"},
    {"CORS_ALLOWED_ORIGINS": ""},
    {"CORS_ALLOWED_ORIGINS": "https://app.example.org:8443, capacitor://localhost"},
    {"FRONTEND_URL": "https://example.org/vouchers/", "API_URL": "https://api.example.org"},
    {"REDIS_URL": "rediss://user:password@redis.internal:6380/1"},
    {"REDIS_URL": "unix:///run/redis.sock"},
    {"EMAIL_USE_SSL": "True"},
    {"MEDIA_STORAGE": "/var/lib/vouchers/media"},
    {"MEDIA_STORAGE": "s3://media?region=eu-central-1"},
    {"MEDIA_STORAGE": "s3://media?region=x", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"},
    {"DEFAULT_FROM_EMAIL": "vouchers@example.org"},
    {"DEFAULT_FROM_EMAIL": "Voucher App <vouchers@example.org>"},
    {"DEFAULT_FROM_EMAIL": '"Voucher App, Ltd" <vouchers@example.org>'},
    {"DEFAULT_FROM_EMAIL": "G\u00e3 Vouchers <vouchers@m\u00fcnchen.example>"},
]


class ProductionTests(ConfigurationTestCase):
    def test_it_refuses_each_unsafe_configuration_in_one_line(self):
        self.assertRefused(REFUSALS)

    def test_it_accepts_each_safe_configuration(self):
        self.assertAccepted(ACCEPTED)

    def test_debug_is_off_unless_asked_for(self):
        self.assertIs(load(DEBUG="")["DEBUG"], False)
        self.assertIs(load(DEBUG="True")["DEBUG"], True)

    def test_an_empty_webhook_secret_is_none(self):
        self.assertEqual(
            load(STRIPE_WEBHOOK_SECRET="whsec_0123456789AbCdEf,")["STRIPE_WEBHOOK_SECRETS"],
            ["whsec_0123456789AbCdEf"],
        )

    def test_it_refuses_a_value_that_it_cannot_read_and_names_the_variable(self):
        self.assertUnreadable(UNREADABLE)

    def test_cookies_can_be_set_by_this_host_alone_where_the_deployment_allows_it(self):
        names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME")
        for differences, expected in (
            ({}, ["__Host-sessionid", "__Host-csrftoken"]),
            ({"CSRF_COOKIE_DOMAIN": ".example.org"}, ["__Host-sessionid", "csrftoken"]),
            ({"CSRF_COOKIE_NAME": "csrftoken"}, ["__Host-sessionid", "csrftoken"]),
            ({"DEBUG": "True"}, ["sessionid", "csrftoken"]),
        ):
            loaded = load(**differences)
            self.assertEqual([loaded[name] for name in names], expected)
        loaded = load()
        self.assertTrue(loaded["SESSION_COOKIE_SECURE"] and loaded["CSRF_COOKIE_SECURE"])
        self.assertLessEqual(
            {"SESSION_COOKIE_DOMAIN", "SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH"} & loaded.keys(), set()
        )

    def test_amounts_are_by_currency_in_its_usual_unit_and_none_by_default(self):
        loaded = load(SECOND_PERSON_REFUNDS="USD:500, eur:450.50,JPY:0")
        amounts = {"USD": Decimal(500), "EUR": Decimal("450.50"), "JPY": Decimal(0)}
        self.assertEqual(loaded["SECOND_PERSON_REFUNDS"], amounts)
        self.assertEqual(loaded["SECOND_PERSON_CODE_EXPORTS"], {})

    def test_on_render_its_own_host_is_one_of_the_hosts(self):
        host = {"RENDER_EXTERNAL_HOSTNAME": "voucher-app-x1y2.onrender.com"}
        both = load(**host)
        self.assertEqual(both["ALLOWED_HOSTS"], ["vouchers.example.org", "voucher-app-x1y2.onrender.com"])
        self.assertEqual(both["API_URL"], "https://vouchers.example.org")
        alone = load(ALLOWED_HOSTS="", **host)
        self.assertEqual(alone["ALLOWED_HOSTS"], ["voucher-app-x1y2.onrender.com"])
        self.assertEqual(alone["API_URL"], "https://voucher-app-x1y2.onrender.com")

    def test_a_proxy_is_believed_only_where_there_is_one(self):
        self.assertNotIn("SECURE_PROXY_SSL_HEADER", load())
        self.assertEqual(
            load(TRUSTED_PROXY_COUNT="1")["SECURE_PROXY_SSL_HEADER"], ("HTTP_X_FORWARDED_PROTO", "https")
        )

    def test_a_web_client_may_be_allowed_headers_of_its_own(self):
        allowed = load(CORS_EXTRA_HEADERS="x-client-version, X-Tenant")["CORS_ALLOW_HEADERS"]
        self.assertLessEqual({"x-client-version", "X-Tenant", "traceparent"}, set(allowed))

    def test_the_command_line_shows_every_problem_and_no_secret(self):
        answer = manage("check", ALLOWED_HOSTS="*", STRIPE_API_BASE="http://127.0.0.1:12111", DATABASE_URL="")
        self.assertEqual(answer.returncode, 1)
        self.assertEqual(len(answer.stderr.strip().splitlines()), 4, answer.stderr)
        self.assertNotIn("Traceback", answer.stderr)
        for secret in SECRETS:
            self.assertNotIn(secret, answer.stdout + answer.stderr)

    def test_django_finds_nothing_to_warn_of(self):
        answer = manage("check", "--deploy", "--fail-level", "ERROR", SHOP_SELLER="Exams Ltd")
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        warnings = set(re.findall(r"\((\w+\.\w\d+)\)", answer.stderr))
        collected = (ROOT / "staticfiles/staticfiles.json").exists()  # in a clone they are not
        self.assertEqual(warnings, set() if collected else {"core.W002"}, answer.stderr)


class DevelopmentTests(SimpleTestCase):
    def test_debug_alone_is_enough(self):
        configuration = load(**dict.fromkeys(NAMES, "") | {"DEBUG": "True"})
        self.assertEqual(configuration["STRIPE_API_BASE"], "http://127.0.0.1:12111")
        self.assertEqual(configuration["DATABASES"]["default"]["ENGINE"], "django.db.backends.sqlite3")
        self.assertTrue(configuration["CELERY_TASK_ALWAYS_EAGER"])

    def test_web_clients_under_development_may_call_the_api(self):
        ports = (3000, 5173, 4200, 8080)
        local = {f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in ports}
        unset = {"CORS_ALLOWED_ORIGINS": ""}
        for allowed in ("CORS_ALLOWED_ORIGINS", "CSRF_TRUSTED_ORIGINS"):
            self.assertEqual(set(load(DEBUG="True", **unset)[allowed]), local)
            self.assertEqual(load(**unset)[allowed], [])
            self.assertEqual(load(DEBUG="True")[allowed], ["https://app.example.org"])

    def test_the_toolbar_is_there_for_a_developer_who_wants_it(self):
        toolbar = "debug_toolbar.middleware.DebugToolbarMiddleware"
        for differences, expected in (
            ({"DEBUG": "True", "DEBUG_TOOLBAR": "True"}, True),
            ({"DEBUG": "True"}, False),
            ({"DEBUG_TOOLBAR": "True"}, False),
        ):
            loaded = load(**differences)
            self.assertIs("debug_toolbar" in loaded["INSTALLED_APPS"], expected, differences)
            self.assertIs(toolbar in loaded["MIDDLEWARE"], expected)
            # Each answer has headers of the toolbar, which are of one request.
            self.assertIs(loaded["RESPONSE_CACHE"] == {}, expected)
        with (
            patch("importlib.util.find_spec", return_value=None),
            self.assertRaisesMessage(ImproperlyConfigured, "requirements-dev.txt"),
        ):
            load(DEBUG="True", DEBUG_TOOLBAR="True")

    def test_live_keys_where_the_public_comes_are_warned_of(self):
        answer = manage("check", DEBUG="True")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIn("(payments.W001) DEBUG is on with a live Stripe key", answer.stderr)
        self.assertIn("vouchers.example.org", answer.stderr)
        self.assertNotIn(LIVE, answer.stderr)

    def test_a_developer_alone_or_with_test_keys_is_not_warned(self):
        local: dict[str, Any] = {
            "DEBUG": True,
            "STRIPE_SECRET_KEY": LIVE,
            "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]", "192.168.0.7", "shop.test"],
            "FRONTEND_URL": "http://localhost:3000",
            "API_URL": "http://localhost:8000",
        }
        test_key = {"STRIPE_SECRET_KEY": TEST_KEYS["STRIPE_SECRET_KEY"], "ALLOWED_HOSTS": ["*"]}
        for alone in ({}, test_key, {"DEBUG": False, "ALLOWED_HOSTS": ["*"]}):
            with override_settings(**local | alone):
                self.assertEqual(debug_with_live_keys(), [])
        for public in (
            {"FRONTEND_URL": "https://app.example.org"},
            {"API_URL": "https://api.example.org"},
            {"ALLOWED_HOSTS": ["*"]},
            {"ALLOWED_HOSTS": ["203.0.114.7"]},
        ):
            with override_settings(**local | public):
                self.assertEqual(len(debug_with_live_keys()), 1, public)

    def test_the_reference_shop_is_on_with_debug_and_links_lead_to_it(self):
        development = dict.fromkeys(NAMES, "") | {"DEBUG": "True"}
        for variables, is_on, address in (
            (development, True, "http://127.0.0.1:8000"),
            (development | {"API_URL": "http://127.0.0.1:9000"}, True, "http://127.0.0.1:9000"),
            (development | {"FRONTEND_URL": "http://localhost:5173"}, True, "http://localhost:5173"),
            (development | {"REFERENCE_SHOP": "False"}, False, "http://localhost:3000"),
            ({}, False, "https://app.example.org"),
            ({"REFERENCE_SHOP": "True", "FRONTEND_URL": ""}, True, "https://vouchers.example.org"),
            ({"REFERENCE_SHOP": "True", "FRONTEND_URL": "https://a.example"}, True, "https://a.example"),
        ):
            with self.subTest(variables=variables.get("REFERENCE_SHOP"), address=address):
                loaded = load(**variables)
                self.assertIs(loaded["REFERENCE_SHOP"], is_on)
                self.assertEqual(loaded["FRONTEND_URL"], address)

    def test_keys_of_a_real_account_are_never_sent_to_the_local_stripe(self):
        configuration = load(DEBUG="True", STRIPE_SECRET_KEY="sk_test_0123456789")
        self.assertEqual(configuration["STRIPE_API_BASE"], "https://api.stripe.com")


class PeopleTests(SimpleTestCase):
    def test_administrators_are_names_and_addresses(self):
        self.assertEqual(load()["ADMINS"], [])
        for text, people in (
            ("ops@example.com", [("", "ops@example.com")]),
            (
                'Ama <ama@example.com>, "Ops, night" <ops@example.com>',
                [("Ama", "ama@example.com"), ("Ops, night", "ops@example.com")],
            ),
        ):
            self.assertEqual(load(ADMINS=text)["ADMINS"], people)
        for text in (
            "Ama",
            "a b@example.com",
            "ama@example.com # me",
        ):
            with self.subTest(text=text), self.assertRaisesMessage(ImproperlyConfigured, "ADMINS"):
                load(ADMINS=text)


class RateTests(SimpleTestCase):
    def test_a_limit_is_so_many_in_so_many_units(self):
        for text, meaning in (
            ("10/m", (10, 60)),
            ("100/15m", (100, 900)),
            (" 5/h ", (5, 3600)),
            ("1/2s", (1, 2)),
            ("7/d", (7, 86400)),
        ):
            self.assertEqual(load(LIMIT_REGISTER=text)["LIMIT_REGISTER"], meaning)

    def test_anything_else_keeps_the_application_from_starting(self):
        for text in ("10", "10/", "/m", "0/m", "-1/m", "10/0m", "10/min", "1.5/m", "10/m/m", "\u0661/m"):
            with self.subTest(text), self.assertRaisesMessage(ImproperlyConfigured, "LIMIT_REGISTER"):
                load(LIMIT_REGISTER=text)

    def test_limits_hold_unless_they_are_switched_off(self):
        self.assertIs(load()["RATE_LIMITS_ENABLED"], True)
        self.assertIs(load(RATE_LIMITS_ENABLED="False")["RATE_LIMITS_ENABLED"], False)
