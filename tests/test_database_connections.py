"""Connections to PostgreSQL that are kept from request to request: dead ones are replaced, and nobody notices."""

import time
from http.client import HTTPConnection
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.db import OperationalError, connection, connections
from django.test import tag

from tests.support.cases import CommittingTestCase
from tests.support.server import Server
from voucher_project.postgresql import base


@skipUnless(connection.vendor == "postgresql", "about connections to PostgreSQL")
@tag("server")
class KeptConnectionTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.database: Any = connections.create_connection("default")
        self.addCleanup(self.database.close)
        self.number = self.query("SELECT pg_backend_pid()")
        self.end_request()

    def query(self, statement):
        """The first value of what the kept connection is answered."""
        with self.database.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]

    def end_request(self):
        self.database.close_if_unusable_or_obsolete()

    def last_statement(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [self.number])
            return cursor.fetchone()[0]

    def terminate(self):
        """End the kept connection from the server's side."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [self.number])
            self.assertEqual(cursor.fetchone(), (True,))

    def test_one_that_was_used_just_now_is_used_again_without_a_question(self):
        self.database.close_if_health_check_failed()
        self.assertTrue(self.database.health_check_done)
        self.assertEqual(self.last_statement(), "SELECT pg_backend_pid()")
        self.assertEqual(self.query("SELECT pg_backend_pid()"), self.number)

    def test_one_that_has_rested_is_asked(self):
        with patch.object(base, "TRUSTED_SECONDS", 0):
            self.database.close_if_health_check_failed()
        self.assertEqual(self.last_statement(), "SELECT 1")
        self.assertEqual(self.query("SELECT pg_backend_pid()"), self.number)

    def test_one_on_which_the_server_has_sent_something_is_asked(self):
        with self.database.cursor() as cursor:
            cursor.execute("LISTEN news")
        self.end_request()
        with connection.cursor() as cursor:
            cursor.execute("NOTIFY news")
        deadline = time.monotonic() + 60
        while self.database._is_silent() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.database.close_if_health_check_failed()
        self.assertEqual(self.last_statement(), "SELECT 1")
        self.assertEqual(self.query("SELECT pg_backend_pid()"), self.number)

    def test_one_that_the_server_has_ended_is_replaced(self):
        self.terminate()
        self.assertNotEqual(self.query("SELECT pg_backend_pid()"), self.number)

    def test_without_the_look_the_query_would_fail(self):
        """The control: the connection was dead."""
        self.terminate()
        with (
            patch.object(self.database, "_is_silent", return_value=True),
            self.assertRaises(OperationalError),
        ):
            self.query("SELECT 1")

    def test_one_that_this_side_has_closed_is_replaced(self):
        self.database.connection.close()
        self.assertNotEqual(self.query("SELECT pg_backend_pid()"), self.number)

    def test_no_request_fails_when_all_connections_were_ended(self):
        server = Server(LIMIT_REQUESTS_PER_NETWORK="100000/m")
        self.addCleanup(server.kill)
        for _ in range(5):
            self.assertEqual(self.status(server), 200)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)"
                    " AND backend_type = 'client backend'",
                    [self.number],
                )
                self.assertGreaterEqual(cursor.fetchone()[0], 1)
        self.assertEqual(self.status(server), 200)

    @staticmethod
    def status(server):
        caller = HTTPConnection("127.0.0.1", server.port, timeout=60)
        try:
            caller.request("GET", "/api/vouchers/types/")
            return caller.getresponse().status
        finally:
            caller.close()
