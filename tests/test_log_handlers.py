"""What a process writes to its console and to its log file, as the settings set the handlers up."""

import json
import re
import tempfile
from http.client import HTTPConnection
from pathlib import Path

from django.test import tag

from tests.support.cases import CommittingTestCase
from tests.support.server import Server

TEXT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) (?P<logger>[\w.]+) "
    r"\[(?P<request_id>[\w.-]+)\] (?P<message>.*)"
)
MEMBERS = {"time", "level", "logger", "request_id", "message"}


def read_text(lines):
    """Each line by its parts; those of a traceback, which follow theirs, not counted."""
    return [match.groupdict() for match in map(TEXT.fullmatch, lines) if match]


def read_json(lines):
    """Each line by its members; gunicorn's own, which are text in either form, not counted."""
    return [json.loads(line) for line in lines if line.startswith("{")]


@tag("slow", "any-database")
class LogHandlerTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def written(self, form, **environment):
        """The lines on the console and in the file of a server that was sent three requests."""
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
                if line["request_id"] == request_id and line["logger"] == "apps.core.middleware"
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
            self.assertEqual(line.keys(), MEMBERS)

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
