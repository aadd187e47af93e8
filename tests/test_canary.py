"""One planted canary over all logs and all routes: whatever is sent and whatever fails, no line tells a code.

Lines are compared without case and without anything between the symbols, in whatever encoding; and not codes
alone, but any eight symbols of one in a row.
"""

import json
import logging
import os
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from itertools import count, cycle, product
from pathlib import Path
from smtplib import SMTPDataError
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import quote
from uuid import uuid4

import stripe
from django.conf import settings
from django.contrib import admin
from django.core.management import CommandError, call_command, get_commands
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import Client as Browser
from django.test import SimpleTestCase, tag
from django.urls import get_resolver
from post_office.models import Log

from apps.core import logs, mail
from apps.core.logs import handlers
from apps.payments import gateway
from apps.payments.tests.money import CONFIRM, INTENT, PURCHASE
from apps.users.tests.factories import make_user
from apps.vouchers import codes
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_batch_vouchers, make_voucher
from tests.support.canary import (
    QUERIED,
    SENT,
    CanaryTestCase,
    accepted,
    all_routes,
    refused,
    spellings,
    tells,
)
from tests.support.cases import TRANSACTION_CONTROL, Client, CommittingTestCase
from tests.support.configuration import PRODUCTION, TEST_KEYS, result_of
from tests.support.server import Server, database_url
from tests.support.stripe import StripeTestCase
from voucher_project.celery import app


@tag("slow", "any-database")
class WalkTests(CanaryTestCase):
    def walk(self, route, entry):
        """Send a code wherever this address can be sent one; the route that it led to."""
        # With a slash in it the address would be another's.
        spelt = next(spelt for spelt in self.spellings if "/" not in spelt)
        raw, place = spelt.encode().decode("latin-1"), quote(spelt, safe="")
        header = {"X-Request-ID": spelt, "User-Agent": raw, "Referer": f"/?{place}", "Idempotency-Key": raw}
        named, known = self.address(route, entry, place), self.address(route, entry, self.row_of(entry))
        everywhere = "&".join(f"{name}={place}" for name in QUERIED)
        fields = "&".join(f"{name}={place}" for name in SENT)
        response = self.send("GET", f"{named}?q={place}", **header)
        self.send("GET", f"{known}?{everywhere}&{place}=1", **header)
        self.send("POST", named, fields, "application/x-www-form-urlencoded", **header)
        stranger = {"Authorization": f"Bearer {raw}", "Host": raw}
        self.send("DELETE", known, spelt, "text/plain", client=Client(), **stranger)
        if named != known:
            self.send("GET", f"{known}?q={place}", **header)
        if not route.startswith("admin/"):
            members = dict.fromkeys((*SENT, spelt), spelt) | {"details": {spelt: [spelt, {spelt: spelt}]}}
            self.send("POST", known, json.dumps(members), **header)
            self.send("POST", known, json.dumps({"code": spelt, "details": members}), **header)
            self.send("POST", known, json.dumps({"code": spelt, "x": spelt * 20_000}), **header)
            self.send("PUT", known, '{"code": "' + spelt, **header)
        return response.resolver_match.route if response.resolver_match else None

    def test_no_line_tells_a_code_wherever_it_is_sent(self):
        every = list(all_routes(get_resolver()))
        walked = {self.walk(*each) for each in every}
        self.assertEqual({route for route, _ in every} - walked, set())
        self.assertUntold(least=2000)
        self.assertLessEqual({"django.request", "apps.core.request_log"}, {name for name, _ in self.lines()})

    def test_no_line_tells_a_code_in_any_spelling_where_one_is_expected(self):
        for spelt in spellings(self.planted[0]):
            place = quote(spelt, safe="")
            for path in ("", "qr/", "pdf/"):
                self.send("GET", f"/api/vouchers/detail/{place}/{path}", **{"X-Request-ID": spelt})
            self.send("GET", f"/api/vouchers/my-vouchers/?search={place}")
            self.send("POST", "/api/vouchers/redeem/", json.dumps({"code": spelt}))
            for model in ("vouchers/voucher", "payments/refund"):
                self.send("GET", f"/admin/{model}/?q={place}")
            # Django names the path that it forbids.
            self.send("POST", f"/admin/{place}/", client=Browser(enforce_csrf_checks=True))
        self.assertUntold(least=300)
        self.assertIn("django.security.csrf", {name for name, _ in self.lines()})

    def test_no_action_of_staff_keeps_a_code_that_they_wrote(self):
        for model, screen in admin.site._registry.items():
            entry = SimpleNamespace(name=f"{model._meta.app_label}_{model._meta.model_name}_changelist")
            path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            for name, spelt in product(screen.actions or (), accepted(self.planted[-1])[::4]):
                reason = quote(f"Instead of {spelt}", safe="")
                fields = f"action={name}&_selected_action={self.row_of(entry)}&confirmed=yes&reason={reason}"
                self.send("POST", path, f"{fields}&until=2999-01-01", "application/x-www-form-urlencoded")
        for spelt in accepted(self.planted[-1]):
            fields = f"voucher_type={self.type.pk}&owner={self.customer.pk}&quantity=1&label={quote(spelt, safe='')}"
            self.send("POST", "/admin/vouchers/batch/add/", fields, "application/x-www-form-urlencoded")
        self.assertIn("LogEntry", dict(self.texts))
        self.assertUntold(least=50)


@tag("slow", "any-database")
class FaultTests(CanaryTestCase):
    """What fails says why, and a driver's words hold the row."""

    @contextmanager
    def failing(self, kind, after):
        """The database fails after so many queries, and tells a code."""
        spelt = next(self.spellings)
        queries = count()

        def execute(run, sql, *rest):
            detail = f"DETAIL:  Failing row contains (7, {spelt}).\n{spelt}"
            if not sql.startswith(TRANSACTION_CONTROL) and next(queries) >= after:
                raise kind(detail)
            return run(sql, *rest)

        with connection.execute_wrapper(execute):
            yield

    def fail_everywhere(self, step=1):
        """Each address (or every so many) fails, a little later each time."""
        code = self.planted[-1]
        body = json.dumps({"code": code, "voucher_type_id": self.type.pk, "payment_id": self.paid.pk})
        kinds, afters = cycle((RuntimeError, OperationalError, IntegrityError)), cycle((0, 2, 3, 5))
        for route, entry in [*all_routes(get_resolver())][::step]:
            path = self.address(route, entry, code if "<str:code>" in route else self.row_of(entry))
            for method in ("GET",) if route.startswith("admin/") else ("GET", "POST"):
                self.send(method, path, body, during=self.failing(next(kinds), next(afters)))

    def test_no_traceback_tells_a_code(self):
        self.fail_everywhere()
        self.assertUntold(least=500)
        tracebacks = [name for name, line in self.lines() if "Traceback" in line]
        self.assertGreater(tracebacks.count("django.request"), 100)

    def test_without_the_mask_it_would_be_seen(self):
        """The control of all of these."""
        with patch.object(handlers, "redact", lambda text, redactors=None: str(text)):
            self.fail_everywhere(step=7)
        loggers = {name for name, line in self.lines() if tells(line, self.planted)}
        self.assertEqual(loggers, {"django.request"})

    def test_stripe_and_mail_that_fail_tell_none(self):
        spelt = next(self.spellings)
        buy = json.dumps({"voucher_type_id": self.type.pk})
        refusal = stripe.InvalidRequestError(spelt, "currency")
        for error in (refusal, stripe.APIConnectionError(spelt), RuntimeError(spelt)):
            with patch.object(gateway, "_clients", side_effect=error):
                self.send("POST", INTENT, buy)
                self.send("POST", PURCHASE, buy)
                self.send("POST", CONFIRM, json.dumps({"payment_intent_id": "pi_1"}))
        self.assertGreater(mail.waiting().count(), 2)

        def refuse(backend, messages):
            raise SMTPDataError(554, f"Refused: {messages[0].body}".encode())

        with patch("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse):
            self.assertEqual(mail.send_pending(), 0)
        self.texts += [("mail log", text) for text in Log.objects.values_list("message", flat=True)]
        self.assertUntold(least=20)
        names = {name for name, _ in self.lines()}
        self.assertLessEqual({"apps.payments.gateway", "apps.core.mail.delivery"}, names)

    def test_jobs_that_fail_tell_none(self):
        app.autodiscover_tasks(force=True)
        jobs = [job for name, job in app.tasks.items() if job.__module__.startswith("apps.")]
        self.assertGreater(len(jobs), 6)
        for job, kind, after in product(jobs, (RuntimeError, OperationalError), (0, 2)):
            arguments = {"hours": 2} if job.name == "payments.reconcile" else {}
            with transaction.atomic(), self.failing(kind, after):
                job.apply(kwargs=arguments, throw=False)
                transaction.set_rollback(True)
        self.assertUntold(least=40)
        self.assertIn("celery.app.trace", {name for name, _ in self.lines()})

    def test_commands_print_codes_into_their_file_alone(self):
        folder = Path(self.enterContext(TemporaryDirectory()))
        who = ["--type", self.type.name, "--by", self.staff.email]
        withdraw = [*who, "--reason", "x", "--apply"]
        issue = [*who, "--owner", self.customer.email, "--count", "3", "--csv"]
        batch: Any = make_batch_vouchers(owner=self.customer, quantity=2)[0].batch
        change = ["--batch", batch.label, "--by", self.staff.email, "--reason", "x", "--apply"]
        commands: dict[str, list[list[str]]] = {
            "audit": [[], ["--json"]],
            "change_batch": [[*change, "--hold"], [*change, "--reassign", self.staff.email]],
            "create_demo_data": [["--users", "2", "--months", "1"]],
            "create_sample_vouchers": [[]],
            "create_staff_groups": [[], ["--reset"]],
            "export_daily_figures": [[]],
            "export_refunds": [
                [],
                ["--from", "2000-01-01", "--format", "xlsx", "--output", str(folder / "r.xlsx"), "--force"],
            ],
            "export_transactions": [[]],
            "export_usages": [[]],
            "export_vouchers": [
                [],
                ["--separator", "semicolon", "--output", str(folder / "v.csv"), "--force"],
            ],
            "issue_receipts": [[]],
            "issue_vouchers": [[*issue, str(folder / "codes.csv"), "--force"], [*issue, "/nowhere/x.csv"]],
            "migrate": [["--verbosity", "0"]],
            "prepare_database": [["--reset"]],
            "rebuild_daily_figures": [[]],
            "recalculate_payments": [["--apply"]],
            "reconcile_payments": [["--apply"]],
            "reset_second_factor": [[self.staff.email, "--reason", "x", "--by", self.staff.email]],
            "run_bulk_operations": [[]],
            "send_expiry_reminders": [[]],
            "send_queued_mail": [[]],
            "withdraw_service": [[*withdraw, "--refund"], [*withdraw, "--release"]],
        }
        endless = {"demo", "local_stripe"}
        ours = {name for name, of in get_commands().items() if str(of).startswith("apps.")} - endless
        self.assertEqual(ours, set(commands))
        for name, arguments in commands.items():
            for options, kind, after in product(arguments, (RuntimeError, IntegrityError), (0, 3, 9, 10_000)):
                with transaction.atomic(), self.failing(kind, after):
                    self.run_command(name, options)
                    transaction.set_rollback(True)
        with patch("os.fsync", side_effect=OSError(28, "No space")):
            self.run_command("issue_vouchers", commands["issue_vouchers"][0])
        self.run_command("issue_vouchers", commands["issue_vouchers"][0])
        self.planted += Voucher.objects.values_list("code", flat=True)
        self.assertTrue(tells((folder / "codes.csv").read_text(), self.planted))
        self.assertUntold(least=100)

    def run_command(self, name, arguments):
        """As manage.py does: what the command refuses in a line, what it did not expect as a traceback."""
        try:
            call_command(name, *arguments)
        except CommandError as error:
            print(f"CommandError: {error}")
        except SystemExit:
            pass
        except Exception as error:  # noqa: BLE001 - as sys.excepthook
            logs.redacting_excepthook(type(error), error, error.__traceback__)


WORKER_AND_COMMAND = """
import sys
from unittest import mock
import manage
from voucher_project.celery import app

app.loader.import_default_modules()
app.log.setup(loglevel="DEBUG", redirect_stdouts=True)
with mock.patch("apps.core.mail.send_pending", side_effect=RuntimeError(f"row ({sys.argv[1]})")):
    app.tasks["core.send_queued_mail"].apply(throw=False)
    sys.argv = ["manage.py", "send_queued_mail"]
    manage.main()
"""


# What a client may send, well-formed and not.
ON_THE_WIRE = (
    "GET /api/vouchers/detail/{place}/ HTTP/1.1\r\nX-Request-ID: {raw}\r\n{end}",
    "POST /admin/{place}/ HTTP/1.1\r\n{end}",
    "GET /admin/login/?next=/{place} HTTP/1.1\r\n{end}",
    "GET /{raw} HTTP/1.1\r\n{end}",
    "GET / HTTP/{raw}\r\n{end}",
    "{raw} / HTTP/1.1\r\n{end}",
    "GET / HTTP/1.1\r\n{raw}\r\n{end}",
    "GET / HTTP/1.1\r\n{raw}: {raw}\r\n{end}",
    "GET / HTTP/1.1\r\nHost: {raw}\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nX: {long}\r\n{end}",
    "GET /{long} HTTP/1.1\r\n{end}",
    *(
        f"POST / HTTP/1.1\r\n{name}: {{raw}}\r\n{{end}}"
        for name in ("Content-Length", "Transfer-Encoding", "Expect")
    ),
    "POST /api/auth/login/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{end}{raw}\r\n",
)


@tag("slow", "any-database")
class ProcessTests(StripeTestCase, CommittingTestCase):
    """What processes write by themselves, configured as in production."""

    def setUp(self):
        super().setUp()
        self.code = make_voucher(owner=make_user()).code
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.environment = PRODUCTION | {
            "DATABASE_URL": database_url(),
            "ALLOW_SQLITE": "True",
            **TEST_KEYS,
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECURE_SSL_REDIRECT": "False",
            "REDIS_URL": "",
            "LOG_LEVEL": "DEBUG",
            "LOG_FILE": str(self.folder / "django.log"),
        }

    def test_a_worker_and_a_command_mask_what_nobody_caught(self):
        ran = subprocess.run(
            [sys.executable, "-c", WORKER_AND_COMMAND, codes.format_code(self.code)],
            cwd=settings.BASE_DIR,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((ran.returncode, ran.stdout), (1, ""), ran.stderr)
        logged = (self.folder / "django.log").read_text()
        self.assertIn("ERROR celery.app.trace", logged)
        self.assertEqual(ran.stderr.count(f"RuntimeError: row (***{self.code[-4:]})"), 2, ran.stderr)
        self.assertEqual(
            [line for line in (ran.stderr + logged).splitlines() if tells(line, [self.code])], []
        )

    def requests(self, spelt):
        place, end = quote(spelt, safe=""), "Host: 127.0.0.1\r\nConnection: close\r\n\r\n"
        for request in ON_THE_WIRE:
            yield request.format(raw=spelt, place=place, long=place * 500, end=end).encode()

    def test_the_server_writes_no_line_that_tells_a_code(self):
        with (self.folder / "output").open("wb") as output:
            server = Server(
                self.stripe.base_url, output, **self.environment | {"STRIPE_API_BASE": self.stripe.base_url}
            )
            self.addCleanup(server.kill)
            for spelt in spellings(self.code):
                for request in self.requests(spelt):
                    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
                        converse(wire, request)
            server.kill()
        written = [(self.folder / name).read_text() for name in ("output", "django.log")]
        for lines, logger in zip(written, ("gunicorn.error", "apps.core.request_log"), strict=True):
            self.assertGreater(lines.count(f" {logger} "), 50)
            self.assertEqual([line for line in lines.splitlines() if tells(line, [self.code])], [])


def converse(wire, request):
    """Send it and read the answer, until the server closes, which may not want to read all."""
    with suppress(ConnectionError):
        wire.sendall(request)
        while wire.recv(65536):
            pass


# Logger, handler and formatter, by their names, of all handlers that there are once the application is loaded.
WHO_WRITES = """
import json, logging
import voucher_project.wsgi
names = (None, *logging.root.manager.loggerDict)
handlers = [(name or "root", handler) for name in names for handler in logging.getLogger(name).handlers]
print(json.dumps([(name, type(each).__name__, type(each.formatter).__name__) for name, each in handlers]))
"""


class ReadingTests(SimpleTestCase):
    def test_a_code_is_seen_in_any_spelling_and_masked_in_each_that_the_application_reads(self):
        for _ in range(50):
            code = codes.make()
            for spelt in accepted(code):
                self.assertEqual(codes.parse(spelt), code)
                written = (spelt, quote(spelt), json.dumps([f"\n{spelt}"]), str(spelt.encode()))
                for text in (*written, f"no voucher {spelt} here"):
                    self.assertTrue(tells(text, [code]), text)
                    self.assertFalse(tells(logs.redact(text), [code]), text)
            self.assertTrue(all(tells(spelt, [code]) for spelt in refused(code)))
            self.assertFalse(tells(f"the end of {codes.mask_code(code)}, {uuid4()}", [code]))

    def test_a_line_without_our_formatter_is_seen(self):
        record = logging.makeLogRecord({"msg": "Not Found: %s", "args": ("/2j39-neh6%2Dr3tu\\u2013n3j8/",)})
        self.assertTrue(tells(logging.Formatter().format(record), ["2J39NEH6R3TUN3J8"]))

    def test_nothing_but_our_formatters_writes_in_production(self):
        logging_of: Any = settings.LOGGING
        kinds = {formatter["()"] for formatter in logging_of["formatters"].values()}
        ours = ("TextFormatter", "JsonFormatter")
        self.assertEqual(kinds, {f"apps.core.logs.handlers.{name}" for name in ours})
        self.assertEqual(logging_of["loggers"]["django.template"], {"level": "INFO"})
        # In a process of its own: what tests use beside us (Sentry's library, generators) writes as it likes.
        handlers = result_of(WHO_WRITES)
        self.assertIn("StreamHandler", [handler for _, handler, _ in handlers])
        for logger, handler, formatter in handlers:
            # Least of all by mail: an AdminEmailHandler sends settings, and every variable of every frame.
            self.assertTrue(formatter in ours or handler == "NullHandler", (logger, handler, formatter))
