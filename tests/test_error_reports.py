"""Reports of errors to Sentry: that they come, with what helps, and without what must not leave."""

import json
import os
import subprocess
import sys
import time
from http.client import HTTPConnection
from typing import Any
from unittest import skipUnless
from unittest.mock import patch
from urllib.parse import quote

from django.conf import settings
from django.test import SimpleTestCase, override_settings, tag

from apps.authentication import services
from apps.core import error_reports, logs
from apps.users.tests.factories import make_customer
from apps.vouchers import codes
from tests.support.canary import accepted, tells
from tests.support.cases import CommittingTestCase
from tests.support.celery_worker import CeleryWorker, broker_url
from tests.support.configuration import PRODUCTION, TEST_KEYS, load
from tests.support.sentry import SentryServer, SilentSentry
from tests.support.server import Server, database_url

CARD = "4242 4242 4242 4242"
ADDRESS = "nora@example.com"
PASSWORD = "a-password-that-nobody-reads"
PATIENCE = 10  # seconds; a client that waited for the silent one would have half a minute
IS_LOADED = """
import sys
from voucher_project.wsgi import application
print("sentry_sdk" in sys.modules)
"""


def faulty(dsn: str, fault: str) -> Server:
    """The server of `tests/support/faulty.py`, configured as in production, which reports to this address."""
    environment = PRODUCTION | {
        "ALLOW_SQLITE": "True",
        **TEST_KEYS,
        "SECRET_KEY": settings.SECRET_KEY,  # which signs the tokens of the tests
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECURE_SSL_REDIRECT": "False",
        "RATE_LIMITS_ENABLED": "False",
        "REDIS_URL": "",
        "SENTRY_DSN": dsn,
        "SENTRY_ENVIRONMENT": "trial",
        "SENTRY_RELEASE": "vouchers@7",
        "FAULT": fault,
        "DATABASE_URL": database_url(),
        "STRIPE_API_BASE": "http://127.0.0.1:1",
    }
    return Server("http://127.0.0.1:1", subprocess.DEVNULL, "tests.support.faulty:application", **environment)


@tag("slow", "any-database")
class ReportTests(CommittingTestCase):
    """From a real web process and a real worker to a stand-in, over HTTP."""

    def setUp(self):
        super().setUp()
        self.code = codes.make()
        self.sentry = SentryServer()
        self.addCleanup(self.sentry.close)
        self.token = services.open_session(user=make_customer()).access

    def server(self, dsn):
        fault = f"row ({codes.format_code(self.code)}) of {ADDRESS} with {CARD}, {self.token}"
        server = faulty(dsn, fault)
        self.addCleanup(server.kill)
        return server

    def send(self, server, method, path, body=None, request_id="report-1"):
        caller = HTTPConnection("127.0.0.1", server.port, timeout=self.patience)
        self.addCleanup(caller.close)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Cookie": f"sessionid={PASSWORD}",
            "User-Agent": ADDRESS,
            "Referer": f"https://shop.example/redeem#code={self.code}",
            "X-Request-ID": request_id,
        }
        caller.request(method, path, None if body is None else json.dumps(body), headers)
        return caller.getresponse().status

    def assertUntold(self):
        """Nothing that arrived tells the code, the token, the card, the address or the password."""
        self.assertFalse(tells(self.sentry.received, [self.code]), self.sentry.received)
        for secret in (self.token, CARD, CARD.replace(" ", ""), ADDRESS, "nora", PASSWORD, "sessionid"):
            self.assertNotIn(secret, self.sentry.received)

    def test_an_error_arrives_with_the_request_s_id_and_route_and_without_any_secret(self):
        server = self.server(self.sentry.dsn)
        body = {"code": self.code, "details": {"password": PASSWORD, "card": CARD}}
        self.assertEqual(self.send(server, "POST", f"/api/vouchers/redeem/?also={self.code}", body), 500)
        spelled = quote("-".join(self.code))
        self.assertEqual(self.send(server, "GET", f"/api/vouchers/detail/{spelled}/", None, "report-2"), 500)
        first, second = self.sentry.wait_for(2)
        server.stop(self.patience)
        self.assertEqual(first["tags"], {"request_id": "report-1"})
        self.assertEqual(second["tags"], {"request_id": "report-2"})
        self.assertEqual(first["transaction"], "/api/vouchers/redeem/")
        self.assertEqual(second["transaction"], "/api/vouchers/detail/<str:code>/")
        self.assertEqual((first["environment"], first["release"]), ("trial", "vouchers@7"))
        cause, error = first["exception"]["values"]
        self.assertEqual((cause["type"], error["type"]), ("KeyError", "ValueError"))
        self.assertEqual(error["value"][:15], "It failed: row ")
        frame = error["stacktrace"]["frames"][-1]
        self.assertEqual((frame["module"], frame["function"]), ("tests.support.faulty", "fail"))
        self.assertIn("raise ValueError", frame["context_line"])
        self.assertIn("About to fail: row ", first["breadcrumbs"]["values"][-1]["message"])
        self.assertEqual(len(self.sentry.events), 2)
        self.assertEqual(self.sentry.kinds, {"event"})
        self.assertNotIn('"vars"', self.sentry.received)
        self.assertUntold()

    def test_it_arrives_also_where_the_process_ends_at_once(self):
        ran = subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", f"raise ValueError('{self.code} of {ADDRESS}')"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "SENTRY_DSN": self.sentry.dsn},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertNotIn("Sentry", ran.stderr)
        (event,) = self.sentry.wait_for(1)
        self.assertEqual(event["exception"]["values"][-1]["value"], f"***{self.code[-4:]} of ***")
        self.assertUntold()

    @skipUnless(settings.REDIS_URL, "no Redis to be the broker")
    def test_an_error_of_a_task_arrives_with_its_name_and_without_its_arguments(self):
        environment = {"CELERY_BROKER_URL": broker_url(), "SENTRY_DSN": self.sentry.dsn}
        worker = CeleryWorker(**environment)
        self.addCleanup(worker.kill)
        spelled = codes.format_code(self.code)
        subprocess.run(
            [
                *(sys.executable, "-m", "celery", "-A", "voucher_project"),
                *("call", "payments.cancel_open_purchases", "--args", json.dumps([spelled])),
            ],
            cwd=settings.BASE_DIR,
            env={**os.environ, **environment},
            capture_output=True,
            check=True,
        )
        (event,) = self.sentry.wait_for(1)
        self.assertEqual(event["transaction"], "payments.cancel_open_purchases")
        self.assertEqual(event["tags"]["task"], "payments.cancel_open_purchases")
        self.assertEqual(event["tags"]["request_id"], event["tags"]["task_id"])
        value = event["exception"]["values"][-1]["value"]
        self.assertIn("expected a number but got", value)
        self.assertIn(f"***{self.code[-4:]}", value)
        self.assertUntold()

    def test_no_request_waits_for_a_sentry_that_is_away_or_silent(self):
        silent = SilentSentry()
        self.addCleanup(silent.close)
        # To the silent one more reports than the queue holds, while the first of them is still on its way.
        for dsn, number in (
            (silent.dsn, 120),
            ("http://public@127.0.0.1:1/7", 5),
            ("http://public@x.invalid/7", 5),
        ):
            with self.subTest(dsn):
                server = self.server(dsn)
                for _ in range(number):
                    self.assertLess(self.seconds_of(self.fail_once, server), PATIENCE)
                self.assertLess(self.seconds_of(server.stop, self.patience), 2 * PATIENCE)
        self.assertTrue(silent.connections)

    def fail_once(self, server):
        self.assertEqual(self.send(server, "POST", "/api/vouchers/redeem/", {}), 500)

    def seconds_of(self, call, *arguments):
        started = time.monotonic()
        call(*arguments)
        return time.monotonic() - started


class MaskTests(SimpleTestCase):
    """What leaves of an event, whatever the client put into it."""

    def test_addresses_cards_and_what_a_database_quotes_go(self):
        for text, expected in (
            ("no mail to nora@example.com today", "no mail to *** today"),
            ("Key (email)=(nora@example.com) exists", "Key *** exists"),
            ("/reset?for=nora%40example.com", "***"),
            ('"a,b"@example.com', "***"),
            ("postgresql://app:secret@db/vouchers", "***"),
            ("card 4242424242424242.", "card ***."),
            ("card 4242-4242 4242 4242 was", "card *** was"),
            ("order 100000000000001 of 1234", "order 100000000000001 of 1234"),
            ("duplicate key\nDETAIL:  Key (name)=(Nora) already exists.\n", "duplicate key …"),
            ("syntax error\nLINE 1: SELECT 'Nora'\n   ^", "syntax error …"),
            ("at 10:30 in apps/core/x.py", "at 10:30 in apps/core/x.py"),
        ):
            self.assertEqual(error_reports.mask(text), expected)

    def test_our_own_secrets_go_whatever_they_look_like(self):
        secrets = {
            "SECRET_KEY": "correct horse battery staple",
            "JWT_PREVIOUS_SIGNING_KEY": "tr0ub4dor-and-3",
            "METRICS_TOKEN": "metrics.token",
            "EMAIL_HOST_PASSWORD": "it's (a) pass\\word",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
        }
        addresses = {
            "REDIS_URL": "redis://:pw-of-cache@127.0.0.1:1/0",
            "CELERY_BROKER_URL": "amqp://app:pw%2Fof%2Fbroker@127.0.0.1:1//",
        }
        database = settings.DATABASES["default"] | {"PASSWORD": "pw of database"}
        self.addCleanup(error_reports._own_secrets.cache_clear)
        with override_settings(**secrets, **addresses, DATABASES={"default": database}):
            error_reports._own_secrets.cache_clear()
            for secret in (
                *secrets.values(),
                "pw-of-cache",
                "pw/of/broker",
                "pw%2Fof%2Fbroker",
                "pw of database",
            ):
                for text in (f"connecting with {secret} failed", f"wrong: {secret!r}"):
                    with self.subTest(text):
                        masked = error_reports.mask(text)
                        self.assertNotIn(secret, masked)
                        self.assertNotIn(repr(secret)[1:-1], masked)
                        self.assertIn("***", masked)

    def test_without_secrets_a_text_stays_as_it_is(self):
        self.addCleanup(error_reports._own_secrets.cache_clear)
        for secrets in ([], ["", "zero"]):  # the second is too short to be told from a word
            error_reports._own_secrets.cache_clear()
            with patch.object(error_reports, "_secrets", return_value=secrets):
                self.assertEqual(error_reports.mask("division by zero"), "division by zero")

    def test_codes_go_in_every_spelling(self):
        code = codes.make()
        for spelled in accepted(code):
            for text in (spelled, f"no {spelled} here"):
                self.assertFalse(tells(error_reports.mask(text), [code]), text)

    def test_a_long_text_is_masked_in_no_time(self):
        for piece in ("@", "a@", "4 ", "42", "\nDETAIL", "a" * 50):
            started = time.thread_time()
            error_reports.mask((piece * 20_000)[:20_000])
            self.assertLess(time.thread_time() - started, 2, piece)

    def test_only_what_is_named_leaves(self):
        code = codes.make()
        secret = {code: [code, {"nested": ADDRESS}]}
        frame = {"filename": "x.py", "lineno": 3, "function": "f", "vars": secret}
        event = {
            "event_id": "0" * 32,
            "level": "error",
            "platform": "python",
            "user": secret,
            "request": {
                "url": f"http://x/{code}",
                "headers": secret,
                "cookies": secret,
                "data": secret,
                "env": secret,
            },
            "extra": secret,
            "modules": secret,
            "contexts": {"runtime": {"name": "CPython"}, "celery": secret, "trace": secret},
            "tags": secret,
            "transaction": f"/api/vouchers/detail/{code}/",
            "logentry": {"message": f"{code} {ADDRESS}", "formatted": code, "params": [code]},
            "exception": {
                "values": [
                    {
                        "type": "ValueError",
                        "value": f"{code} {ADDRESS}",
                        "mechanism": {"type": "x", "handled": False, "data": secret},
                        "stacktrace": {"frames": [frame]},
                    }
                ]
            },
            "threads": {"values": [{"stacktrace": {"frames": [frame]}, "name": code}]},
            "breadcrumbs": {"values": [{"message": f"{code} {ADDRESS}", "data": secret, "category": "x"}]},
            "something_new": secret,
        }
        text = json.dumps(error_reports.compose(event, {}))
        self.assertFalse(tells(text, [code]), text)
        self.assertNotIn("nora", text)
        for kept in ("ValueError", "CPython", '"lineno": 3', '"handled": false', f"***{code[-4:]}"):
            self.assertIn(kept, text)
        forms: tuple[Any, ...] = ([], {"values": None}, None)
        for form in forms:
            error_reports.compose({"exception": form, "breadcrumbs": form, "threads": form}, {})

    def test_a_request_s_id_that_is_a_code_is_masked(self):
        code = codes.make()
        token = logs.request_id.set(code)
        try:
            self.assertEqual(error_reports.compose({}, {})["tags"], {"request_id": f"***{code[-4:]}"})
        finally:
            logs.request_id.reset(token)

    def test_a_breadcrumb_keeps_no_request(self):
        crumb = {"message": "m", "data": {"request": object()}}
        self.assertEqual(error_reports.forget_data(crumb, {}), {"message": "m"})


class SettingTests(SimpleTestCase):
    def test_without_an_address_the_client_is_not_loaded(self):
        for dsn, is_loaded in (("", "False"), ("http://public@127.0.0.1:1/7", "True")):
            ran = subprocess.run(
                [sys.executable, "-c", IS_LOADED],
                cwd=settings.BASE_DIR,
                env={**os.environ, "SENTRY_DSN": dsn},
                capture_output=True,
                text=True,
                check=True,
            )
            self.assertEqual(ran.stdout.strip(), is_loaded)

    def test_environment_and_release_have_defaults(self):
        dsn = "https://public@o1.ingest.sentry.io/7"
        self.assertEqual(load()["SENTRY"], {})
        self.assertEqual(
            load(SENTRY_DSN=dsn)["SENTRY"],
            {"dsn": dsn, "environment": "production", "release": f"voucher-app@{settings.VERSION}"},
        )
        named = load(SENTRY_DSN=dsn, SENTRY_ENVIRONMENT="staging", SENTRY_RELEASE="x@2")["SENTRY"]
        self.assertEqual((named["environment"], named["release"]), ("staging", "x@2"))
