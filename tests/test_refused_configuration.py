"""What else keeps a production from starting, in one line each, and what the start and `check --deploy` say of it."""

import re
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import SimpleTestCase, override_settings

from apps.core.startup import log_configuration
from tests.support.configuration import KEY, ConfigurationTestCase, load, manage, python
from voucher_project.environment import check_file

# What is wrong, and the start of the one line that says so.
REFUSALS: list[tuple[dict[str, str], str]] = [
    ({"FRONTEND_URL": ""}, "FRONTEND_URL is missing"),
    *(
        ({"FRONTEND_URL": f"http://{host}"}, "FRONTEND_URL is an address of this machine")
        for host in ("localhost:3000", "127.0.0.1", "[::1]:3000", "shop.localhost", "0.0.0.0")
    ),
    ({"DEFAULT_FROM_EMAIL": ""}, "DEFAULT_FROM_EMAIL is missing"),
    ({"DEFAULT_FROM_EMAIL": "vouchers@localhost"}, "DEFAULT_FROM_EMAIL is an address of this machine"),
    ({"DEFAULT_FROM_EMAIL": "Shop <shop@localhost>"}, "DEFAULT_FROM_EMAIL is an address of this machine"),
    ({"DEFAULT_FROM_EMAIL": "shop@example.org # ours"}, "DEFAULT_FROM_EMAIL is no sender"),
    ({"EMAIL_HOST": ""}, "EMAIL_HOST is missing"),
    *(
        ({"EMAIL_HOST": host}, "EMAIL_HOST is no host name")
        for host in ("mail.example.org:587", "mail.example.org # TLS", "smtp://mail.example.org")
    ),
    *(
        ({"ALLOWED_HOSTS": host}, "ALLOWED_HOSTS has ")
        for host in (
            "https://vouchers.example.org",
            "vouchers.example.org:443",
            "vouchers.example.org/",
            "vouchers.example.org api.example.org",
        )
    ),
    ({"SECRET_KEY": f"{KEY} # of 2026"}, "SECRET_KEY has a blank"),
    ({"SECRET_KEY": f"{KEY}\n"}, "SECRET_KEY has a blank"),
    ({"JWT_SIGNING_KEY": f"{KEY} # ours"}, "JWT_SIGNING_KEY has a blank"),
    ({"JWT_PREVIOUS_SIGNING_KEY": f"{KEY} "}, "JWT_PREVIOUS_SIGNING_KEY has a blank"),
    (
        {"DATABASE_URL": "sqlite:///x.sqlite3", "ALLOW_SQLITE": "True", "DATABASE_POOLED": "True"},
        "DATABASE_POOLED is True but",
    ),
    (
        {"DATABASE_DIRECT_URL": "sqlite:///x.sqlite3", "DATABASE_POOLED": "True"},
        "DATABASE_DIRECT_URL is SQLite",
    ),
]
UNREADABLE = [
    ("STAFF_SECOND_FACTOR", "perhaps"),
    *(
        ("FRONTEND_URL", address)
        for address in (
            "/shop",
            "app.example.org",
            "https://app.example.org # the shop",
            "https://app example.org",
        )
    ),
    ("DATABASE_URL", "postgresql://app@127.0.0.1/vouchers # ours"),
    ("DATABASE_DIRECT_URL", "postgres at 127.0.0.1"),
    ("REDIS_URL", "redis://127.0.0.1:6379/0 # ours"),
    ("DEBUG", "False # never on"),
    ("LIMITS", "huge"),
    ("SECURE_HSTS_SECONDS", "a year"),
    ("STRIPE_CALLS_AT_ONCE", "0"),
    ("FREE_VOUCHERS_PER_PERSON", "0"),
    ("METRICS_PORT", "65536"),
    ("EMAIL_PORT", "65536"),
    ("DATABASE_STATEMENT_TIMEOUT_MS", "2147483648"),  # PostgreSQL would take no connection
    ("DATABASE_LOCK_TIMEOUT_MS", "2147483648"),
    ("ABANDONED_AFTER_HOURS", "0"),  # purchases that are just being paid
    ("ABANDONED_AFTER_HOURS", "99999999999"),
    ("REVERSAL_WINDOW_DAYS", "99999999999"),
    *(
        ("SENTRY_DSN", f"https://key@{host}/1")
        for host in ("sentry.example.org:abc", "sentry.example.org:65536", "sentry example.org")
    ),
    *(
        ("MEDIA_STORAGE", f"s3://media?{options}")
        for options in (
            "endpoint=https://",
            "endpoint=https://s3.example.org:abc",
            "endpoint=https://s3.example.org:65536",
            "endpoint=https://key:secret@s3.example.org",
            "region=eu-west-1&region=us-east-1",
        )
    ),
    *(("REDIS_URL", f"redis://127.0.0.1/{rest}") for rest in ("zero", "0?no_such_option=1", "0?db=two")),
    *(
        ("CELERY_BROKER_URL", address)
        for address in (
            "127.0.0.1:6379",
            "http://127.0.0.1",
            "redis://127.0.0.1:abc/0",
            "redis://127.0.0.1/0 # ours",
            "amqp://127.0.0.1 # ours",
        )
    ),
]
ACCEPTED: list[dict[str, str]] = [
    *(
        {"CELERY_BROKER_URL": address}
        for address in (
            "amqp://app:pw@127.0.0.1//",
            "redis://127.0.0.1",
            "rediss://h/1?ssl_cert_reqs=none",
            "sqs://",
        )
    ),
    {"REDIS_URL": "rediss://cache:6380?max_connections=9&ssl_cert_reqs=none"},
    {"REDIS_URL": "unix:///run/redis/redis.sock?db=1", "CELERY_BROKER_URL": "redis+socket:///run/redis.sock"},
    {"MEDIA_STORAGE": "s3://media?endpoint=http://[::1]:9000", "SENTRY_DSN": "https://key@[::1]:9000/sub/1"},
    {"ABANDONED_AFTER_HOURS": "1", "REVERSAL_WINDOW_DAYS": "0", "DATABASE_LOCK_TIMEOUT_MS": "0"},
    {"ALLOWED_HOSTS": "vouchers.example.org, .example.net, [2001:db8::1], 203.0.113.7, web_1,"},
    {"ALLOWED_HOSTS": "vouchers.example.org # ours"},
    {"EMAIL_HOST": "localhost"},
    {"EMAIL_HOST": "", "EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"},
    {"DATABASE_POOLED": "True", "DATABASE_DIRECT_URL": "postgresql://app@127.0.0.1:1/vouchers"},
]


class RefusalTests(ConfigurationTestCase):
    def test_it_refuses_each_in_one_line(self):
        self.assertRefused(REFUSALS)

    def test_it_names_the_variable_that_it_cannot_read(self):
        self.assertUnreadable(UNREADABLE)

    def test_it_accepts_what_is_right(self):
        self.assertAccepted(ACCEPTED)

    def test_the_command_line_has_a_line_for_each_of_many_and_no_traceback(self):
        answer = manage(
            "check", FRONTEND_URL="", EMAIL_HOST="", DEFAULT_FROM_EMAIL="", ALLOWED_HOSTS="https://x.org"
        )
        self.assertEqual(answer.returncode, 1)
        self.assertEqual(len(answer.stderr.strip().splitlines()), 5, answer.stderr)

    def test_an_env_file_that_is_no_plain_utf8_is_refused(self):
        folder = Path(self.enterContext(TemporaryDirectory()))
        text = "DEBUG=True\nTIME_ZONE=UTC\n"
        for number, (content, problem) in enumerate(
            (
                (b"\xef\xbb\xbf" + text.encode(), "byte order mark"),
                (text.encode("utf-16"), "UTF-16"),
                (text.encode("utf-16-le"), "UTF-16"),
                ("INSTALLATION=café".encode("latin-1"), "not UTF-8"),
            )
        ):
            file = folder / f"{number}.env"
            file.write_bytes(content)
            with self.subTest(problem), self.assertRaisesMessage(ImproperlyConfigured, problem):
                check_file(file)
        (folder / "right.env").write_text(f"{text}# é\n")
        check_file(folder / "right.env")
        check_file(folder / "none.env")


class WebServerTests(SimpleTestCase):
    def test_it_refuses_numbers_with_which_it_would_answer_nobody(self):
        for name, value in (
            ("WEB_CONCURRENCY", "0"),
            ("WEB_THREADS", "eight"),
            ("WEB_THREADS", "0"),
            ("WEB_FAST_THREADS", "0"),
            ("PORT", "65536"),
        ):
            with self.subTest(name, value=value):
                ran = python("-m", "gunicorn", "--check-config", "voucher_project.wsgi", **{name: value})
                self.assertEqual(ran.returncode, 1)
                self.assertEqual(
                    ran.stderr, f"{name} in the environment or .env can't be read: not a valid value.\n"
                )


class WarningTests(SimpleTestCase):
    def warnings(self):
        """What `check --deploy` warns of, by the ids of our own checks, and what the start logs."""
        errors = StringIO()
        call_command("check", "--deploy", "--tag", "files", stderr=errors, stdout=StringIO())
        with self.assertLogs("apps.core.startup", "INFO") as logged:
            log_configuration()
        return re.findall(r"\((core\.W\d+)\)", errors.getvalue()), "\n".join(logged.output)

    def test_media_that_cannot_be_written(self):
        folder = Path(self.enterContext(TemporaryDirectory()))
        (folder / "file").write_text("no folder")
        for media, ids in (
            (folder, []),
            (folder / "made/when/needed", []),
            (folder / "file/media", ["core.W001"]),
        ):
            with self.subTest(media), override_settings(MEDIA_ROOT=media):
                warnings, logged = self.warnings()
                self.assertEqual(warnings, ids)
                self.assertEqual("can't be written" in logged, bool(ids))

    def test_static_files_that_are_not_collected(self):
        folder = Path(self.enterContext(TemporaryDirectory()))
        manifest = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
        for content, ids in ((None, ["core.W002"]), ('{"version": "1.1", "paths": {}}', [])):
            if content:
                (folder / "staticfiles.json").write_text(content)
            with override_settings(
                STATIC_ROOT=folder, STORAGES=storages.backends | {"staticfiles": manifest}
            ):
                warnings, logged = self.warnings()
            self.assertEqual(warnings, ids)
            self.assertEqual("not collected" in logged, bool(ids))

    def test_letters_of_the_shop_that_no_font_has(self):
        for name, seller, lacking in (
            ("Exams", ("Exams Ltd", "", ""), ""),
            ("Prüfungen 考试 परीक्षा", ("ߞߊ߬ߙߊ߲", "12 Rue de l'Église", ""), ""),
            ("Exams សា", ("Exams Ltd", "", ""), "ស ា"),
            ("Exams", ("Exams Ltd", "1 မ Street", ""), "မ"),
        ):
            errors = StringIO()
            with self.subTest(name), override_settings(SHOP_NAME=name, SHOP_SELLER=seller):
                call_command("check", stderr=errors, stdout=StringIO())
                self.assertEqual("core.W003" in errors.getvalue(), bool(lacking))
                self.assertIn(f"letters that no font has: {lacking}\n" if lacking else "", errors.getvalue())


class HstsTests(SimpleTestCase):
    def test_browsers_are_bound_to_https_for_a_year_or_for_as_long_as_is_said(self):
        names = ("SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD")
        for differences, expected in (
            ({}, [365 * 24 * 3600, True, True]),
            ({"DEBUG": "True"}, [0, False, False]),
            (
                {
                    "SECURE_HSTS_SECONDS": "3600",
                    "SECURE_HSTS_INCLUDE_SUBDOMAINS": "False",
                    "SECURE_HSTS_PRELOAD": "False",
                },
                [3600, False, False],
            ),
            ({"SECURE_HSTS_SECONDS": "0"}, [0, True, True]),
        ):
            loaded = load(**differences)
            self.assertEqual([loaded[name] for name in names], expected)


class SecondFactorTests(SimpleTestCase):
    def test_staff_need_a_second_factor_unless_debug_is_on_or_they_are_let_off(self):
        for differences, needed in (
            ({}, True),
            ({"STAFF_SECOND_FACTOR": "False"}, False),
            ({"DEBUG": "True"}, False),
            ({"DEBUG": "True", "STAFF_SECOND_FACTOR": "True"}, True),
        ):
            self.assertIs(load(**differences)["STAFF_SECOND_FACTOR"], needed)


class PresetTests(SimpleTestCase):
    """LIMITS: what is for everybody grows on a busy day, and what keeps one account from being guessed does not."""

    GUARDS = {
        "LIMIT_LOGIN_PER_ACCOUNT",
        "LIMIT_LOGIN_PER_DEVICE",
        "LIMIT_SECOND_FACTOR",
        "LIMIT_REFRESH",
        "LIMIT_PASSWORD_RESET_PER_ACCOUNT",
        "LIMIT_UNPAID_PURCHASES_PER_ACCOUNT",
        "LIMIT_RECEIPTS",
        "LIMIT_EXPORTS",
    }

    def limits(self, **variables):
        loaded = load(**variables)
        return {
            name: value
            for name, value in loaded.items()
            if name.startswith("LIMIT_") and name != "LIMIT_WIDE_NETWORK_TIMES"
        }

    def test_surge_raises_what_many_people_share_and_nothing_else(self):
        normal, surge = self.limits(), self.limits(LIMITS="surge")
        self.assertEqual(normal, self.limits(LIMITS="normal"))
        self.assertEqual(normal.keys(), surge.keys())
        self.assertEqual({name for name in normal if normal[name] == surge[name]}, self.GUARDS)
        for name in normal.keys() - self.GUARDS:
            self.assertEqual(normal[name][1], surge[name][1], name)
            self.assertGreaterEqual(surge[name][0], 10 * normal[name][0], name)

    def test_a_portal_of_250_redemptions_a_second_fits_and_so_do_its_mistakes(self):
        surge = self.limits(LIMITS="surge")
        number, seconds = surge["LIMIT_REQUESTS_PER_USER"]
        self.assertGreater(number / seconds, 250)
        number, seconds = surge["LIMIT_REDEEM_FAILURES_PER_ACCOUNT"]
        self.assertGreater(number / seconds, 250 * 0.01)

    def test_a_variable_wins_over_the_preset(self):
        for preset in ("normal", "surge"):
            limits = self.limits(LIMITS=preset, LIMIT_REGISTER="7/h")
            self.assertEqual(limits["LIMIT_REGISTER"], (7, 3600))
