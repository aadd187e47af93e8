"""Behind a pooler in transaction mode: limits of time, leases, cursors and migrations. `--pooled` runs much more so."""

import shutil
import tempfile
from contextlib import suppress
from io import StringIO
from pathlib import Path
from unittest import skipUnless
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import psycopg2
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction
from django.test import SimpleTestCase, override_settings, tag

from apps.core import health, leases
from apps.core.startup import log_configuration
from apps.users.tests.factories import make_customer
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support import pooler
from tests.support.cases import CommittingTestCase, RaceTestCase
from tests.support.runner import home
from tests.support.server import database_url
from tests.support.services import OTHER_USER

CAN_BE_TRIED = connection.vendor == "postgresql" and pooler.pooler_program() is not None


class SessionStateTests(SimpleTestCase):
    def test_the_application_uses_nothing_that_belongs_to_a_session_of_the_database(self):
        sources = {
            path: path.read_text()
            for path in (settings.BASE_DIR / "apps").rglob("*.py")
            if not {"tests", "migrations"} & set(path.parts)
        }
        for word in ("pg_advisory_lock", "pg_try_advisory_lock", '"LISTEN ', "TEMPORARY TABLE", '"PREPARE '):
            self.assertEqual([str(path) for path, text in sources.items() if word in text], [], word)


@skipUnless(CAN_BE_TRIED and not settings.DATABASE_POOLED, "needs PostgreSQL, PgBouncer, and no other pooler")
class BehindPoolerTests(CommittingTestCase):
    """The process is connected through a PgBouncer that has one connection to PostgreSQL."""

    def setUp(self):
        super().setUp()
        folder = Path(tempfile.mkdtemp(dir=home()))
        if OTHER_USER:
            shutil.chown(folder, OTHER_USER)
        self.direct = {name: connection.settings_dict[name] for name in ("HOST", "PORT", "NAME", "OPTIONS")}
        address = pooler.start_pooler(database_url(), folder, user=OTHER_USER, connections=1)
        self.addCleanup(pooler.stop_pooler, folder)
        self.address = urlsplit(address)
        through = {
            "HOST": unquote(self.address.hostname or ""),
            "PORT": str(self.address.port),
            "POOLED": True,
            "OPTIONS": {},
        }
        connection.close()
        self.addCleanup(connection.close)
        self.enterContext(patch.dict(connection.settings_dict, through))
        direct = {**connection.settings_dict, **self.direct, "POOLED": False}
        self.enterContext(override_settings(DATABASE_POOLED=True, DATABASE_DIRECT=direct))

    def client_of_the_pooler(self):
        """Another connection through the pooler."""
        client = connections.create_connection("default")
        self.addCleanup(client.close)
        return client

    def reconnect(self):
        """The pooler's own connection is made anew."""
        with suppress(Exception), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        connection.close()

    def test_limits_of_time_are_those_of_the_role(self):
        self.assertEqual(health.time_limits(), "differ")
        with self.assertLogs("apps.core.startup", "WARNING") as logged:
            log_configuration()
        self.assertIn("prepare_database", "".join(logged.output))
        self.addCleanup(call_command, "prepare_database", "--reset", stdout=StringIO())
        output = StringIO()
        call_command("prepare_database", stdout=output)
        self.assertIn("statement_timeout 30000 ms", output.getvalue())
        self.reconnect()
        self.assertEqual(self.api.get("/api/health/ready/").json()["checks"]["time_limits"], "ok")
        with self.assertNoLogs("apps.core.startup", "WARNING"):
            log_configuration()
        with override_settings(DATABASE_TIME_LIMITS=settings.DATABASE_TIME_LIMITS | {"lock_timeout": 5}):
            self.assertEqual(health.time_limits(), "differ")

    def test_two_clients_do_not_both_hold_a_lease(self):
        with leases.try_acquire("one at a time") as first:
            connection.close()  # and so the next statement is another client's
            with leases.try_acquire("one at a time") as second:
                self.assertEqual((first is None, second is None), (False, True))

    def test_control_two_clients_both_hold_a_lock_of_the_session(self):
        held = []
        for each in (self.client_of_the_pooler(), self.client_of_the_pooler()):
            with each.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(1)")
                held.append(cursor.fetchone()[0])
        self.assertEqual(held, [True, True])

    def test_rows_stay_on_the_server_only_inside_a_transaction(self):
        with connection.chunked_cursor() as cursor:
            self.assertIsNone(cursor.cursor.name)
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            self.assertIsNotNone(cursor.cursor.name)

    def test_migrations_and_the_limits_of_the_role_need_postgresql_itself(self):
        call_command("migrate", verbosity=0)
        with override_settings(DATABASE_DIRECT={}):
            for command in ("migrate", "prepare_database"):
                with self.assertRaisesMessage(CommandError, "DATABASE_DIRECT_URL"):
                    call_command(command, verbosity=0, stdout=StringIO())


@tag("pooled")
@skipUnless(settings.DATABASE_POOLED, "runs with --pooled")
class ManyClientsTests(RaceTestCase):
    AT_ONCE, USES = 150, 60

    def test_four_hundred_clients_share_the_connections_and_no_use_is_taken_twice(self):
        owner = make_customer()
        voucher = make_voucher(owner=owner, voucher_type=make_type(max_uses=self.USES))
        client = self.signed_in(owner)
        for _ in range(pooler.CLIENTS - self.AT_ONCE - 20):  # who is connected, and does nothing now
            idle = psycopg2.connect(database_url())
            self.addCleanup(idle.close)
        answers = self.together(
            *[lambda: client.post("/api/vouchers/redeem/", {"code": voucher.code}).status_code] * self.AT_ONCE
        )
        self.assertEqual(
            {status: answers.count(status) for status in set(answers)},
            {200: self.USES, 409: self.AT_ONCE - self.USES},
        )
        self.assertEqual(voucher.usages.count(), self.USES)
        self.assertEqual(health.time_limits(), "ok")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend'"
            )
            self.assertLessEqual(cursor.fetchone()[0], pooler.CONNECTIONS)
