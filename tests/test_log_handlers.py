"""What a process writes to its console and to its log file, as the settings set the handlers up."""

import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.test import tag

from tests.support.cases import CommittingTestCase
from tests.support.server import Server

TEXT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) (?P<logger>[\w.]+) "
    r"\[(?P<request_id>[\w.-]+)\] (?P<message>.*)"
)
MEMBERS = {"time", "level", "logger", "request_id", "message"}
OF_A_REQUEST = {"method", "route", "status", "ms", "user_id", "network", "bytes"}


def read_text(lines):
    """Each line by its parts; those of a traceback, which follow theirs, not counted."""
    return [match.groupdict() for match in map(TEXT.fullmatch, lines) if match]


def read_json(lines):
    """Each line by its members."""
    return [json.loads(line) for line in lines]


@tag("slow", "any-database")
class LogHandlerTests(CommittingTestCase):
    lines: ClassVar[dict[Any, list[list[str]]]] = {}

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def written(self, form, **environment):
        """The lines on the console and in the file of a server that was sent three requests; the same for each test."""
        key = (form, *environment.items())
        if key not in self.lines:
            self.lines[key] = self.lines_of_a_server(form, **environment)
        return self.lines[key]

    def lines_of_a_server(self, form, **environment):
        with (self.folder / "console").open("wb") as console:
            server = Server(
                output=console,
                LOG_LEVEL="INFO",
                LOG_FORM=form,
                LOG_FILE=str(self.folder / "django.log"),
                **environment,
            )
            self.addCleanup(server.kill)
            for number, path in enumerate(("/api/health/", "/api/nowhere/", "/api/vouchers/types/")):
                caller = HTTPConnection("127.0.0.1", server.port, timeout=self.patience)
                caller.request("GET", path, headers={"X-Request-ID": f"request-{number}"})
                caller.getresponse().read()
                caller.close()
            server.stop(self.patience)
        return [(self.folder / name).read_text().splitlines() for name in ("console", "django.log")]

    def assertLinesOfRequests(self, lines, last="200"):
        expected = {
            "request-0": r"GET /api/health/ 200 \d+ ms",
            "request-1": r"GET \(no route\) 404 \d+ ms",
            "request-2": rf"GET /api/vouchers/types/ {last} \d+ ms",
        }
        for request_id, message in expected.items():
            requests = [
                line
                for line in lines
                if line["request_id"] == request_id and line["logger"] == "apps.core.request_log"
            ]
            self.assertEqual([line["level"] for line in requests], ["INFO"], lines)
            self.assertRegex(requests[0]["message"], rf"\A{message}\Z")
        # What belongs to no request says so, such as what a process writes at its start.
        self.assertTrue([line for line in lines if line["request_id"] == "-"], lines)

    def test_text_has_one_line_each_with_the_request_s_id_on_the_console_and_in_the_file(self):
        console, file = self.written("text")
        self.assertLinesOfRequests(read_text(console))
        self.assertLinesOfRequests(read_text(file))
        self.assertEqual(len(read_text(file)), len(file), file)
        self.assertEqual([line for line in console if line in file], file)

    def test_json_has_one_object_each_with_the_request_s_id_on_the_console_and_in_the_file(self):
        console, file = self.written("json")
        self.assertLinesOfRequests(read_json(console))
        self.assertLinesOfRequests(read_json(file))
        self.assertEqual(len(read_json(file)), len(file), file)
        self.assertEqual([line for line in console if line in file], file)
        for line in read_json(file):
            of_a_request = OF_A_REQUEST if line["logger"] == "apps.core.request_log" else set()
            self.assertEqual(line.keys(), MEMBERS | of_a_request)

    def test_gunicorn_s_own_lines_have_the_form_of_all_others_and_no_request_has_two(self):
        lines = read_json(self.written("json")[0])
        messages = [line["message"] for line in lines if line["logger"] == "gunicorn.error"]
        for beginning in ("Starting gunicorn", "Booting worker", "Worker exiting", "Shutting down"):
            self.assertTrue([message for message in messages if message.startswith(beginning)], messages)
        for line in lines:
            self.assertEqual(line.keys() & MEMBERS, MEMBERS)
            self.assertRegex(line["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00\Z")
        self.assertNotIn("gunicorn.access", {line["logger"] for line in lines})
        request_ids = [line["request_id"] for line in lines if "types" in line["message"]]
        self.assertEqual(request_ids, ["request-2"], lines)

    def test_a_worker_that_hangs_is_a_line_of_the_same_form(self):
        with (self.folder / "console").open("wb") as console:
            server = Server(
                output=console,
                application="tests.support.echo:hanging",
                LOG_FORM="json",
                LOG_FILE="none",
                GUNICORN_CMD_ARGS="--timeout 1 --threads 1 --worker-class sync",
            )
            self.addCleanup(server.kill)
            caller = HTTPConnection("127.0.0.1", server.port, timeout=self.patience)
            self.addCleanup(caller.close)
            caller.request("GET", "/")
            with suppress(ConnectionError, HTTPException):
                caller.getresponse()
            server.stop(self.patience)
        lines = read_json((self.folder / "console").read_text().splitlines())
        said = [(line["level"], line["message"]) for line in lines if "WORKER TIMEOUT" in line["message"]]
        self.assertEqual([level for level, _ in said], ["CRITICAL"], lines)

    def test_a_form_that_nobody_knows_is_refused_by_the_application_in_a_line(self):
        ran = subprocess.run(
            [sys.executable, "-m", "gunicorn", "--check-config", "voucher_project.wsgi"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "LOG_FORM": "prose"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertIn("ImproperlyConfigured: LOG_FORM in the environment or .env can't be read", ran.stderr)
        self.assertNotIn("gunicorn.conf.py", ran.stderr)

    def test_what_fails_has_the_request_s_id_too(self):
        nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"}
        for form, read in (("text", read_text), ("json", read_json)):
            (self.folder / "django.log").unlink(missing_ok=True)
            console, file = self.written(form, **nowhere)
            for lines in (read(console), read(file)):
                self.assertLinesOfRequests(lines, last="503")
                failures = [line["logger"] for line in lines if line["level"] == "ERROR"]
                self.assertEqual(failures, ["apps.core.api.problems", "django.request"], lines)
                ids = {line["request_id"] for line in lines if line["level"] == "ERROR"}
                self.assertEqual(ids, {"request-2"})
