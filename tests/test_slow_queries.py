"""Slow queries: what is logged of them and of which requests, what never is, and that quick ones cost nothing."""

import json
from contextlib import contextmanager
from math import inf
from time import perf_counter
from typing import Any
from unittest.mock import patch

from django.db import OperationalError, ProgrammingError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.test import RequestFactory, TestCase, override_settings, tag

from apps.core import logs
from apps.core.logs import context, slow_queries
from apps.core.middleware import RequestIdMiddleware
from apps.users.models import User
from apps.users.tests.factories import make_user
from apps.vouchers import codes
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_voucher
from tests.support.cases import ApiTestCase

LOGGER = "apps.core.logs.slow_queries"


class SlowQueryTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        context._current_request.set(None)  # that of the test before may still be there

    @contextmanager
    def limit(self, seconds):
        """Queries of this connection are slow from so many seconds on."""
        connection.ensure_connection()
        with patch.object(connections["default"], "slow_query_seconds", seconds):
            yield

    def lines_of(self, call, seconds=0.0):
        """What is logged of the queries of a call, as JSON has it."""
        with self.limit(seconds), self.assertLogs(LOGGER, "WARNING") as logged:
            call()
        for record in logged.records:
            logs.ContextFilter().filter(record)
        return [json.loads(logs.JsonFormatter().format(record)) for record in logged.records]


@tag("any-database")
class SlowQueryTests(SlowQueryTestCase):
    def test_a_slow_query_is_a_line_with_its_sql_and_its_time(self):
        line, *more = self.lines_of(lambda: User.objects.filter(email="nora@example.com").exists())
        self.assertEqual((line["level"], more), ("WARNING", []))
        self.assertGreaterEqual(line["ms"], 0)
        self.assertRegex(
            line["sql"], r'\ASELECT .* FROM "users_user" WHERE "users_user"."email" = %s LIMIT 1\Z'
        )
        self.assertRegex(line["message"], r"\ASlow query: \d+ ms, outside a request: SELECT ")
        self.assertNotIn("nora", str(line))

    def test_it_names_the_request(self):
        def answer(request):
            User.objects.exists()
            return response

        response = self.api.get("/api/health/")
        middleware = RequestIdMiddleware(answer)
        request = RequestFactory().get("/api/health/", headers={"X-Request-ID": "abc"})
        request.resolver_match = response.resolver_match
        (line,) = self.lines_of(lambda: middleware(request))
        self.assertEqual((line["request_id"], line["route"]), ("abc", "/api/health/"))

    def test_it_names_the_task(self):
        token = logs.current_task.set(context.Task("core.some_task", "the-id"))
        try:
            (line,) = self.lines_of(User.objects.exists)
        finally:
            logs.current_task.reset(token)
        self.assertRegex(line["message"], r"\ASlow query: \d+ ms, core.some_task: SELECT ")
        self.assertEqual((line["task"], line["task_id"], line["route"]), ("core.some_task", "the-id", None))

    def test_the_time_is_that_of_the_query(self):
        pause = "SELECT pg_sleep(0.03)"
        if connection.vendor == "sqlite":
            pause = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT max(i) FROM n"
        with self.limit(0.01), self.assertLogs(LOGGER, "WARNING") as logged, connection.cursor() as cursor:
            started = perf_counter()
            cursor.execute(pause)
            took = (perf_counter() - started) * 1000
            cursor.execute("SELECT 1")
        self.assertEqual(len(logged.records), 1)
        self.assertTrue(10 <= vars(logged.records[0])["fields"]["ms"] <= took, took)

    def test_a_request_of_the_api_with_a_code_in_it_tells_none(self):
        owner = make_user()
        voucher, client = make_voucher(owner=owner), self.signed_in(owner)
        lines = self.lines_of(lambda: client.get(f"/api/vouchers/detail/{codes.format_code(voucher.code)}/"))
        self.assertEqual({line["route"] for line in lines}, {"/api/vouchers/detail/<str:code>/"})
        self.assertGreater(len(lines), 1)
        self.assertNotIn(voucher.code[4:12], str(lines))

    def test_a_query_that_fails_or_is_one_of_many_is_seen_too(self):
        def fail():
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM nowhere")

        def many():
            with connection.cursor() as cursor:
                cursor.executemany("UPDATE users_user SET email = %s WHERE id = %s", [("a", -1), ("b", -2)])

        many_lines = self.lines_of(many)
        self.assertEqual(
            [line["sql"] for line in many_lines], ["UPDATE users_user SET email = %s WHERE id = %s"]
        )
        lines = self.lines_of(lambda: self.assertRaises((ProgrammingError, OperationalError), fail))
        self.assertEqual(
            [line["sql"] for line in lines if "nowhere" in line["sql"]], ["SELECT nothing FROM nowhere"]
        )

    def test_queries_that_are_kept_or_wrapped_are_timed_as_well(self):
        def wrapped():
            with connection.execute_wrapper(lambda execute, *rest: execute(*rest)):
                User.objects.exists()

        def kept():
            with self.assertNumQueries(1):
                User.objects.exists()

        for call in (wrapped, kept):
            self.assertEqual(len(self.lines_of(call)), 1)

    def test_a_quick_query_is_no_line(self):
        with self.limit(60), self.assertNoLogs(LOGGER):
            Voucher.objects.exists()

    def test_the_limit_is_that_of_the_settings_and_none_with_zero(self):
        for ms, seconds in ((500, 0.5), (1, 0.001), (0, inf)):
            with override_settings(SLOW_QUERY_MS=ms):
                self.assertEqual(slow_queries.limit_in_seconds(), seconds)
                new: Any = connections.create_connection("default")
                new.ensure_connection()
                self.addCleanup(new.close)
                self.assertEqual(new.slow_query_seconds, seconds)

    def test_of_the_text_no_value_stays_and_it_is_short(self):
        for sql, expected in (
            ("SELECT 1\n  FROM  a", "SELECT 1 FROM a"),
            ("WHERE code = 'ABCD' AND x = 'it''s' OR y = %s", "WHERE code = '…' AND x = '…' OR y = %s"),
            ("WHERE id IN (%s, %s, %s, %s, %s, %s)", "WHERE id IN (%s, …)"),
            ("VALUES (%s, %s, %s)", "VALUES (%s, %s, %s)"),
            (r"SELECT E'it\'s ABCD', e'\\', 'ABCD'", "SELECT '…', '…', '…'"),
            ("SELECT $$ABCD$$, $a$'$$ABCD$a$, $1, 'ABCD", "SELECT '…', '…', $1, '…'"),
            (
                """SELECT "it's" -- don't 'ABCD'\n/* it's ABCD */ WHERE x = 'ABCD'""",
                "SELECT \"it's\" '…' '…' WHERE x = '…'",
            ),
            ("SELECT $$ABCD", "SELECT '…'"),
            ("x" * 5000, "x" * 2000 + "…"),
        ):
            self.assertEqual(slow_queries.without_values(sql), expected)


class CostTests(TestCase):
    def test_a_query_goes_through_no_wrapper_and_builds_no_context(self):
        if connection.vendor != "postgresql":
            self.skipTest("cursors of SQLite are Django's")
        self.assertEqual(connection.execute_wrappers, [])
        with patch.object(CursorWrapper, "_execute_with_wrappers", side_effect=AssertionError):
            self.assertFalse(User.objects.exists())
