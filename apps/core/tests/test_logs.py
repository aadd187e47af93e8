"""What the log must say, and what must never stand in it."""

import json
import logging
from types import SimpleNamespace
from unittest import TestCase

from apps.core import logs


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

    def test_other_words_stay(self):
        text = (
            "POST /api/vouchers/redeem/ 200 12 ms 5f0c9f2e7a414b3d9d520e8c6c1f2a37 authentication-services"
            " order eb8f8526-4926-4684-a3c4-66f7a4e28533"
        )
        self.assertEqual(logs.without_secrets(text), text)

    def test_a_failed_request_is_named_by_its_route_however_the_code_was_spelt(self):
        request = SimpleNamespace(resolver_match=SimpleNamespace(route="api/vouchers/detail/<str:code>/"))
        for path in (
            "/api/vouchers/detail/2J39--NEH6--R3TU--N3J8/",
            "/api/vouchers/detail/2J-39-NE-H6-R3-TU-N3-J8/",
        ):
            record = logging.makeLogRecord(
                {"name": "django.request", "msg": "%s: %s", "args": ("Oh", path), "request": request}
            )
            logs.RequestIdFilter().filter(record)
            self.assertEqual(record.getMessage(), "Oh: /api/vouchers/detail/<str:code>/")

    def test_what_a_garbled_request_said_is_cut_off(self):
        for said, kept in (
            (
                "Invalid request from ip=10.0.0.1: Invalid HTTP Version: 'X8KV 5U96/'",
                "Invalid request from ip=10.0.0.1",
            ),
            ("Error handling request /api/vouchers/detail/2J-39/", "Error handling request"),
            ("Booting worker with pid: 7", "Booting worker with pid: 7"),
        ):
            record = self.record(said)
            logs.WithoutAddresses().filter(record)
            self.assertEqual(record.getMessage(), kept)

    def test_an_exception_is_masked_too(self):
        try:
            raise ValueError("Key (code)=(ABCDEFGHJKMNPQ23) already exists.")
        except ValueError as error:
            record = self.record("failed", exc_info=(type(error), error, error.__traceback__))
        self.assertNotIn("ABCDEFGHJKMNPQ23", logs.TextFormatter("%(message)s").format(record))

    def test_json_lines_carry_time_level_logger_and_request_id(self):
        token = logs.request_id.set("abc")
        try:
            record = self.record("hello")
            logs.RequestIdFilter().filter(record)
        finally:
            logs.request_id.reset(token)
        line = json.loads(logs.JsonFormatter().format(record))
        self.assertEqual((line["message"], line["request_id"], line["level"]), ("hello", "abc", "INFO"))
        self.assertTrue(line["time"].endswith("+00:00"))

    def test_a_log_file_that_cannot_be_written_stops_nothing(self):
        handler = logs.QuietRotatingFileHandler("/nowhere/at/all.log", delay=True)
        handler.emit(self.record("hello"))
