"""Migrations run while the version before them serves: they keep no request waiting, and its rows still fit."""

import threading
import time
from contextlib import contextmanager
from io import StringIO
from unittest import skipUnless
from unittest.mock import patch

from django.apps import AppConfig, apps
from django.core.management import CommandError, call_command
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import connection, connections, migrations
from django.db.migrations.loader import MigrationLoader
from django.test import TestCase

from apps.core.management.commands import migrate
from apps.users.tests.factories import make_user
from tests.support.cases import RaceTestCase


def added_columns():
    """(table, column) of each NOT NULL column of today that was added to a table that an earlier migration made."""
    loader = MigrationLoader(None)
    creators = {}
    for key, migration in loader.graph.nodes.items():
        for operation in migration.operations:
            if isinstance(operation, migrations.CreateModel):
                creators[key[0], operation.name_lower] = key
    for key, migration in loader.graph.nodes.items():
        for operation in migration.operations:
            if not isinstance(operation, migrations.AddField):
                continue
            if creators.get((key[0], operation.model_name_lower)) == key:
                continue
            try:
                field = apps.get_model(key[0], operation.model_name_lower)._meta.get_field(operation.name)
            except LookupError:
                continue  # removed since
            if field.column and not field.null:
                yield field.model._meta.db_table, field.column


class PreviousVersionTests(TestCase):
    def test_every_column_that_was_added_has_a_default_in_the_database(self):
        own = {config.label for config in apps.get_app_configs() if config.name.startswith("apps.")}
        columns = [(table, column) for table, column in added_columns() if table.partition("_")[0] in own]
        self.assertIn(("users_user", "sessions_epoch"), columns)
        with connection.cursor() as cursor:
            lacking = [
                f"{table}.{column}"
                for table, column in columns
                for described in connection.introspection.get_table_description(cursor, table)
                if described.name == column and described.default is None
            ]
        self.assertEqual(lacking, [], "db_default is missing: the version before could write no row any more")


@contextmanager
def installed(name):
    """One more app is installed.

    Not by the setting: then every app's `ready` would run again, and the admin would lose its screens.
    """
    config = AppConfig.create(name)
    config.apps = apps
    with patch.dict(apps.app_configs, {config.label: config}):
        config.import_models()
        yield
    apps.clear_cache()


@skipUnless(connection.vendor == "postgresql", "SQLite has one lock for all")
class LockTests(RaceTestCase):
    def setUp(self):
        super().setUp()
        self.api = self.signed_in(make_user())
        self.enterContext(installed("tests.support.migrated_app"))
        self.enterContext(patch.object(migrate, "PAUSE", 0.3))
        self.addCleanup(call_command, "migrate", "migrated_app", "zero", verbosity=0)

    @contextmanager
    def table_in_use(self):
        """A long report or a backup reads the profiles."""
        reader = connection.copy()
        reader.set_autocommit(False)
        try:
            with reader.cursor() as cursor:
                cursor.execute("SELECT 1 FROM users_userprofile")
            yield
        finally:
            reader.close()

    @contextmanager
    def migrating(self, command):
        """The command runs until the block's end at the latest, when the table is free."""
        self.output = StringIO()

        def run():
            try:
                call_command(command, "migrated_app", verbosity=0, stderr=self.output)
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        with self.table_in_use():
            thread.start()
            yield
        thread.join(60)
        self.assertFalse(thread.is_alive())

    def wait_for_locks(self, milliseconds):
        """A request that waits longer for a table than that is answered 503."""
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = %s", [milliseconds])
        self.addCleanup(connection.close)

    def wait_until_somebody_waits_for_a_lock(self):
        deadline = time.monotonic() + 30
        with connection.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute(
                    "SELECT 1 FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                if cursor.fetchone():
                    return
                time.sleep(0.01)
        self.fail("The migration does not come to the table.")

    def is_migrated(self):
        with connection.cursor() as cursor:
            columns = connection.introspection.get_table_description(cursor, "users_userprofile")
        return "of_a_test" in [column.name for column in columns]

    def test_a_table_in_use_is_waited_for_while_requests_go_on(self):
        self.wait_for_locks(1500)
        with self.migrating(migrate.Command()):
            until = time.monotonic() + 2
            while time.monotonic() < until:
                self.assertEqual(self.api.get("/api/users/profile/").status_code, 200)
            self.assertFalse(self.is_migrated())
        self.assertTrue(self.is_migrated())
        self.assertIn("A table is in use", self.output.getvalue())

    def test_control_requests_wait_behind_djangos_own_command(self):
        self.wait_for_locks(1000)
        with self.migrating(DjangoMigrate()):
            self.wait_until_somebody_waits_for_a_lock()
            self.assertEqual(self.api.get("/api/users/profile/").status_code, 503)

    def test_it_ends_in_one_line_when_the_table_never_gets_free(self):
        with (
            self.table_in_use(),
            patch.object(migrate, "ATTEMPTS", 2),
            self.assertRaisesMessage(CommandError, "in use each time"),
        ):
            call_command("migrate", "migrated_app", verbosity=0, stderr=StringIO())
        self.assertFalse(self.is_migrated())
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            self.assertEqual(cursor.fetchone(), ("20s",))
