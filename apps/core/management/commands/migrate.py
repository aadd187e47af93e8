"""`manage.py migrate`: Django's own, but it waits for no lock for so long that requests would fail behind it."""

import time
from typing import Any, Final

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from apps.core.direct_connection import NoDirectAddress, direct_connection

LOCK_TIMEOUT_MS: Final = 300
ATTEMPTS: Final = 60
PAUSE: Final = 5.0  # seconds, in which the requests that waited go on
LOCK_NOT_AVAILABLE: Final = "55P03"


class Command(migrate.Command):
    """Migrate, and on PostgreSQL give up a lock that is not free at once, and try again later.

    A statement that waits for a table has all later requests for that table wait behind it. What a migration did
    before it gave up is rolled back; the next attempt goes on from the last one that was completed. Migrations that
    wait without keeping anybody, such as those that make indexes concurrently, lift the timeout for themselves.
    That is a setting of their session, so a pooler is passed by (DATABASE_DIRECT_URL).
    """

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if connection.vendor != "postgresql" or connection.in_atomic_block:
            super().handle(*args, **options)
            return
        for attempt in range(1, ATTEMPTS + 1):
            try:
                # Not by SET: a migration that lifts the timeout resets it to that of the connection.
                with direct_connection(connection, settings_of_session=f"-c lock_timeout={LOCK_TIMEOUT_MS}"):
                    super().handle(*args, **options)
                return
            except NoDirectAddress as error:
                raise CommandError(str(error)) from error
            except OperationalError as error:
                if getattr(error.__cause__, "pgcode", None) != LOCK_NOT_AVAILABLE:
                    raise
                self.stderr.write(
                    f"A table is in use: nothing was changed by this migration (attempt {attempt} of {ATTEMPTS})."
                )
                time.sleep(PAUSE)
        raise CommandError("A table was in use each time. Look for long transactions in pg_stat_activity.")
