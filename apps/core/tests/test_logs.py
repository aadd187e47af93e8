"""What the log must say, and what must never stand in it."""

import io
import json
import logging
import re
import threading
import time
import unicodedata
from contextlib import redirect_stderr
from types import SimpleNamespace
from unittest import TestCase
from uuid import uuid4

from django.test import Client

from apps.core import logs
from apps.core.logs.redaction import LONGEST


class LogTests(TestCase):
    def record(self, message, **fields):
        return logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": message, **fields})

    def test_codes_keys_and_tokens_are_masked_in_every_form(self):
        for secret in (
            "ABCD-EFGH-JKMN-PQ23",
            "ABCDEFGHJKMNPQ23",
            "abcd-efgh-jkmn-pq23",
            "ABCD%20EFGH%20JKMN%20PQ23",
            "pi_3Nx_secret_Zk9",
            "sk_live_4eC39Hq",
            "whsec_abc123",
            "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl",
        ):
            for formatter in (logs.TextFormatter("%(message)s"), logs.JsonFormatter()):
                line = formatter.format(self.record(f"Not Found: /api/vouchers/detail/{secret}/"))
                self.assertNotIn(secret, line)
                self.assertIn("***", line)

    def test_a_code_is_masked_in_any_grouping_and_encoding(self):
        for spelt in (
            "2J39-NEH6-R3TU-N3J8",
            "2J39--NEH6--R3TU--N3J8",
            "2j-39-ne-h6-r3-tu-n3-j8",
            "2J39NEH6-R3TUN3J8",
            "2 J 3 9 N E H 6 R 3 T U N 3 J 8",
            "2J39\u2013NEH6\u2013R3TU\u2013N3J8",
            "2J39NEH6\u00a0\u2212R3TUN3J8",
            "2J.39_NEH6\u00b7R3TU\u200bN3J8",
            r"2J39NEH6\u2013R3TUN3J8",
            r"2J39NEH6\xa0R3TUN3J8",
            str("2J39NEH6\u2013R3TUN3J8".encode()),
            "2J39NEH6%2dR3TUN3J8",
            "%202J39NEH6R3TUN3J8",
            r"\n2J39NEH6R3TUN3J8",
            "".join(chr(ord(symbol) + 0xFEE0) for symbol in "2J39NEH6R3TUN3J8"),
        ):
            for text in (spelt, f"({spelt})", f"no code {spelt} here", f"uses {spelt} when that was sent"):
                left = unicodedata.normalize("NFKC", logs.redact(text)).upper()
                self.assertNotRegex(re.sub("[^0-9A-Z]", "", left), "2J39|NEH6|R3TU", text)

    def test_a_message_stays_on_one_line_in_either_form(self):
        for formatter in (logs.TextFormatter("%(levelname)s %(message)s"), logs.JsonFormatter()):
            line = formatter.format(self.record("sent:\r\nERROR x [-] as if we had written it"))
            self.assertEqual(len(line.splitlines()), 1, line)
            self.assertIn("as if we", line)

    def test_nothing_that_was_sent_looks_like_a_line_or_speaks_to_a_terminal(self):
        sent = "x\r\nERROR forged\u2028ERROR forged\x85ERROR forged\x1b[2J\x9b2J\x07\tend"
        try:
            raise ValueError(sent)
        except ValueError as error:
            record = self.record(sent, exc_info=(type(error), error, error.__traceback__))
        for formatter in (logs.TextFormatter("%(levelname)s %(message)s"), logs.JsonFormatter()):
            first, *others = formatter.format(record).splitlines()
            self.assertEqual([line for line in others if not line.startswith("  ")], [])
            self.assertNotRegex("".join([first, *others]), "[\x00-\x08\x0a-\x1f\x7f-\x9f]")
            self.assertIn("forged", first)

    def test_in_json_a_code_may_begin_a_line(self):
        line = logs.JsonFormatter().format(self.record("row:\n2J39NEH6R3TUN3J8"))
        self.assertEqual(json.loads(line)["message"], "row:\n***N3J8")

    def test_of_a_very_long_text_both_ends_stay_and_no_part_of_a_code(self):
        code = "2J39NEH6R3TUN3J8"
        for before in range(LONGEST // 2 - 20, LONGEST // 2 + 4, 3):
            text = (
                "begin " + "-" * (before - 6) + code + "-" * 3 * LONGEST + code + "-" * (before - 4) + " end"
            )
            left = logs.redact(text)
            self.assertLess(len(left), LONGEST)
            self.assertTrue(left.startswith("begin -") and left.endswith("- end"))
            self.assertFalse([part for part in ("2J39", "NEH6", "R3TU", "N3J8") if part in left])

    def test_what_is_sent_to_keep_it_busy_does_not(self):
        for piece in (
            "%2A",
            "eyJ-",
            r"\u2222",
            "A ",
            "AAAA ",
            "A%20",
            "\u00a0",
            "2" + "-" * 200,
            "\\",
            r"\x",
        ):
            sent = (piece * LONGEST)[:LONGEST]
            self.assertTrue(self.quickly(logs.redact, sent))

    def test_no_header_that_is_logged_keeps_it_busy(self):
        browser = Client(enforce_csrf_checks=True)
        for name in ("Origin", "Referer"):
            headers = {name: "https://a/" + "\\" * 8000}
            with self.assertLogs("django.security.csrf", "WARNING") as lines:
                response = self.quickly(browser.post, "/admin/login/", secure=True, headers=headers)
            self.assertEqual(response.status_code, 403)
            self.assertIn("checking failed", lines.output[0])
            self.quickly(logs.TextFormatter().format, lines.records[0])

    def quickly(self, call, *arguments, **options):
        """What the call returns; it takes no more than two seconds of this thread, however busy the machine is."""
        begun = time.thread_time()
        answer = call(*arguments, **options)
        self.assertLess(time.thread_time() - begun, 2)
        return answer

    def test_other_words_stay(self):
        for text in (
            "POST /api/vouchers/redeem/ 200 12 ms 5f0c9f2e7a414b3d9d520e8c6c1f2a37 authentication-services",
            "2026-12-23 23:45:56,789 DEBUG [2f3c9f2e7a424b3d9d528e8c6c2f2a37] 2026-12-23T23:45:56.789345+00:00",
            "We met here yesterday, and we meet next week",
            "\uff21\uff22\uff23",
        ):
            self.assertEqual(logs.redact(text), text)

    def test_no_uuid_is_taken_for_a_code(self):
        for _ in range(5_000):
            text = f"order {uuid4()} of {uuid4().hex}-{uuid4()}"
            self.assertEqual(logs.redact(text), text)

    def test_a_failed_request_is_named_by_its_route_however_the_code_was_spelt(self):
        request = SimpleNamespace(resolver_match=SimpleNamespace(route="api/vouchers/detail/<str:code>/"))
        for path in (
            "/api/vouchers/detail/2J39--NEH6--R3TU--N3J8/",
            "/api/vouchers/detail/2J-39-NE-H6-R3-TU-N3-J8/",
        ):
            for name in ("django.request", "django.security.csrf"):
                record = logging.makeLogRecord(
                    {"name": name, "msg": "%s: %s", "args": ("Oh", path), "request": request}
                )
                logs.ContextFilter().filter(record)
                self.assertEqual(record.getMessage(), "Oh: /api/vouchers/detail/<str:code>/")

    def test_what_a_garbled_request_said_is_cut_off(self):
        for said, message in (
            (
                "Invalid request from ip=10.0.0.1: Invalid HTTP Version: 'X8KV 5U96/'",
                "Invalid request from ip=10.0.0.1",
            ),
            ("Error handling request /api/vouchers/detail/2J-39/", "Error handling request"),
            ("Booting worker with pid: 7", "Booting worker with pid: 7"),
        ):
            record = self.record(said)
            logs.WithoutAddresses().filter(record)
            self.assertEqual(record.getMessage(), message)

    def test_an_exception_is_masked_too(self):
        try:
            raise ValueError("Key (code)=(ABCDEFGHJKMNPQ23) already exists.")
        except ValueError as error:
            record = self.record("failed", exc_info=(type(error), error, error.__traceback__))
        self.assertNotIn("ABCDEFGHJKMNPQ23", logs.TextFormatter("%(message)s").format(record))

    def test_what_no_command_caught_is_masked(self):
        try:
            raise ValueError("Failing row contains (7, 2J39NEH6R3TUN3J8).")
        except ValueError as error:
            with redirect_stderr(io.StringIO()) as printed:
                logs.redacting_excepthook(type(error), error, error.__traceback__)
        self.assertRegex(
            printed.getvalue(), r"(?s)^Traceback.*ValueError: Failing row contains \(7, \*\*\*N3J8\)\.$"
        )

    def test_what_ended_a_thread_is_a_line_and_masked(self):
        def fail():
            raise ValueError("Failing row contains (7, 2J39NEH6R3TUN3J8).")

        with self.assertLogs("apps.core.logs", "ERROR") as logged, redirect_stderr(io.StringIO()) as printed:
            thread = threading.Thread(target=fail, name="the-thread")
            thread.start()
            thread.join()
        line = json.loads(logs.JsonFormatter().format(logged.records[0]))
        self.assertEqual((line["message"], printed.getvalue()), ("Thread the-thread failed", ""))
        self.assertIn("ValueError: Failing row contains (7, ***N3J8).", line["exception"])

    def test_json_lines_carry_time_level_logger_and_request_id(self):
        token = logs.request_id.set("abc")
        try:
            record = self.record("hello")
            logs.ContextFilter().filter(record)
        finally:
            logs.request_id.reset(token)
        line = json.loads(logs.JsonFormatter().format(record))
        self.assertEqual((line["message"], line["request_id"], line["level"]), ("hello", "abc", "INFO"))
        self.assertTrue(line["time"].endswith("+00:00"))

    def test_a_log_file_that_cannot_be_written_stops_nothing(self):
        handler = logs.QuietRotatingFileHandler("/nowhere/at/all.log", delay=True)
        handler.emit(self.record("hello"))
