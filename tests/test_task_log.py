"""The lines of background tasks: by which request a task was enqueued, when it began, and how it ended."""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from http.client import HTTPConnection
from pathlib import Path
from unittest import skipUnless
from unittest.mock import patch

from celery import shared_task
from celery.exceptions import Ignore
from django.conf import settings
from django.test import SimpleTestCase, override_settings, tag

from apps.authentication import services
from apps.core import logs, task_log
from apps.payments.tests.factories import make_transaction
from apps.users.tests.factories import PASSWORD, make_customer
from tests.support.cases import CommittingTestCase
from tests.support.celery_worker import CeleryWorker, broker_url
from tests.support.server import Server
from voucher_project.logging_config import logging_config

log = logging.getLogger("tests.task")


@shared_task(name="tests.inner")
def inner():
    log.info("inside the inner one")


@shared_task(name="tests.outer")
def outer():
    inner.delay()
    log.info("inside the outer one")


@shared_task(name="tests.ending", bind=True, max_retries=1)
def ending(self, how):
    if how == "failure":
        raise ValueError("it fails")
    if how == "ignored":
        raise Ignore
    if how == "retry" and not self.request.retries:
        raise self.retry(countdown=0)


class Lines(logging.Handler):
    """All lines as JSON has them."""

    def __init__(self):
        super().__init__()
        self.addFilter(logs.ContextFilter())
        self.lines = []

    def emit(self, record):
        self.lines.append(json.loads(logs.JsonFormatter().format(record)))


class TaskLineTests(SimpleTestCase):
    def lines_of(self, task, *arguments, request_id="-", **options):
        """The lines that a task writes where a request with this id runs it at once."""
        handler, root = Lines(), logging.getLogger()
        token = logs.request_id.set(request_id)
        try:
            with patch.object(root, "handlers", [handler]), patch.object(root, "level", logging.INFO):
                logging.getLogger("apps.core.task_log").setLevel(logging.INFO)
                log.setLevel(logging.INFO)
                task.apply(arguments, throw=False, **options)
                log.info("after")
        finally:
            logs.request_id.reset(token)
        return handler.lines

    def test_the_line_of_its_end_is_never_taken_for_a_code(self):
        """The letters of a name and an outcome may come to sixteen, as those of a code."""
        line = "Task core.heartbeat: success in 3 ms"
        self.assertEqual((logs.redact(line), logs.redact(line.replace(":", "")) == line), (line, False))

    def test_a_task_within_a_request_has_the_request_s_id_and_gives_it_back(self):
        lines = self.lines_of(outer, request_id="abc", task_id="the-task")
        self.assertEqual({line["request_id"] for line in lines}, {"abc"})
        messages = [(line["message"], line.get("task"), line.get("task_id") == "the-task") for line in lines]
        self.assertRegex(messages.pop(3)[0], r"\ATask tests.inner: success in \d+ ms\Z")
        self.assertRegex(messages.pop(4)[0], r"\ATask tests.outer: success in \d+ ms\Z")
        self.assertEqual(
            messages,
            [
                ("Task tests.outer started", "tests.outer", True),
                ("Task tests.inner started", "tests.inner", False),
                ("inside the inner one", "tests.inner", False),
                ("inside the outer one", "tests.outer", True),
                ("after", None, False),
            ],
        )

    def test_a_task_of_no_request_has_its_own_id_for_one_as_have_those_that_it_enqueues(self):
        *lines, after = self.lines_of(outer, task_id="the-task")
        self.assertEqual({line["request_id"] for line in lines}, {"the-task"})
        self.assertEqual(after["request_id"], "-")

    def test_the_text_form_has_both_between_the_brackets(self):
        formatter = logs.TextFormatter(
            logging_config(level="INFO", form="text", file="none")["formatters"]["text"]["format"]
        )
        for task, brackets in (
            (None, "[abc]"),
            (logs.context.Task("core.a_task", "the-id"), "[abc core.a_task the-id]"),
        ):
            tokens = logs.request_id.set("abc"), logs.current_task.set(task)
            try:
                record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "hello"})
                logs.ContextFilter().filter(record)
            finally:
                logs.request_id.reset(tokens[0])
                logs.current_task.reset(tokens[1])
            self.assertRegex(formatter.format(record), rf"INFO x {re.escape(brackets)} hello\Z")

    def test_the_last_line_has_the_time_and_the_outcome(self):
        for how in ("success", "failure", "ignored", "retry"):
            with self.subTest(how):
                lines = [
                    line for line in self.lines_of(ending, how) if line["logger"] == "apps.core.task_log"
                ]
                self.assertEqual(lines[-1]["level"], "INFO")
                self.assertIn(how, [line.get("outcome") for line in lines])
                self.assertGreaterEqual(lines[-1]["ms"], 0)

    def test_a_message_has_the_id_of_the_request_and_of_nothing_else(self):
        for identifier, sent in (("abc", {"request_id": "abc"}), ("-", {})):
            token = logs.request_id.set(identifier)
            try:
                headers = {"id": "the-task"}
                task_log.send_request_id(headers=headers)
                self.assertEqual(headers, {"id": "the-task"} | sent)
            finally:
                logs.request_id.reset(token)


@tag("slow", "any-database")
@skipUnless(settings.REDIS_URL, "no Redis to be the broker")
class BrokerTests(CommittingTestCase):
    """Through a real broker, from a real web process to a real worker."""

    def setUp(self):
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.environment = {
            "CELERY_BROKER_URL": broker_url(),
            "LOG_LEVEL": "INFO",
            "LOG_FORM": "json",
            "LOG_FILE": str(self.folder / "lines"),
        }

    def worker(self, **environment):
        worker = CeleryWorker(**self.environment | environment)
        self.addCleanup(worker.kill)
        return worker

    def lines_of(self, task):
        """What was written for a task so far, once it has ended; else nothing."""
        path = self.folder / "lines"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        lines = [line for line in lines if line.get("task") == task]
        return lines if any("outcome" in line for line in lines) else []

    def test_a_task_has_the_id_of_the_request_that_enqueued_it_in_every_line(self):
        with override_settings(
            PASSWORD_HASHERS=["apps.users.passwords.Argon2idPasswordHasher"]
        ):  # the server's
            customer = make_customer()
        make_transaction(user=customer)
        token = services.open_session(user=customer).access
        worker = self.worker()
        server = Server("http://127.0.0.1:1", subprocess.DEVNULL, **self.environment | {"LOG_FILE": "none"})
        self.addCleanup(server.kill)
        caller = HTTPConnection("127.0.0.1", server.port, timeout=self.patience)
        self.addCleanup(caller.close)
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "X-Request-ID": "closing-1",
        }
        caller.request("DELETE", "/api/users/profile/", json.dumps({"password": PASSWORD}), headers)
        self.assertEqual(caller.getresponse().status, 204)
        lines = worker.wait_for(lambda: self.lines_of("payments.cancel_open_purchases"))
        self.assertEqual({line["request_id"] for line in lines}, {"closing-1"}, lines)
        self.assertEqual(len({line["task_id"] for line in lines}), 1)
        self.assertEqual(
            (lines[0]["message"], lines[-1]["outcome"]), (f"Task {lines[0]['task']} started", "success")
        )
        # Stripe does not answer here: what the task itself wrote has the id, too.
        self.assertIn("apps.payments.gateway", {line["logger"] for line in lines})

    def test_a_task_of_the_schedule_has_an_id_of_its_own(self):
        worker = self.worker()
        subprocess.run(
            [sys.executable, "-m", "celery", "-A", "voucher_project", "call", "core.send_queued_mail"],
            cwd=settings.BASE_DIR,
            env={**os.environ, **self.environment, "LOG_FILE": "none"},
            capture_output=True,
            check=True,
        )
        lines = worker.wait_for(lambda: self.lines_of("core.send_queued_mail"))
        self.assertEqual([line["request_id"] for line in lines], [lines[0]["task_id"]] * 2, lines)
