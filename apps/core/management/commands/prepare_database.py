"""`manage.py prepare_database`: the time limits of requests as settings of the database's role."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from apps.core.direct_connection import NoDirectAddress, direct_connection


class Command(BaseCommand):
    help = (
        "Sets the time limits of requests (DATABASE_STATEMENT_TIMEOUT_MS and the like) for this application's role in"
        " this database. Needed behind a pooler, which passes no start-up options on; harmless without one. Run it"
        " again after a change of a limit. Connections that are open keep theirs: then have the pooler reconnect."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", action="store_true", help="take the limits away from the role again")

    def handle(self, *arguments: Any, reset: bool, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("Only PostgreSQL has time limits of a role.")
        try:
            with direct_connection(connection):
                role, database = self._alter(reset)
        except NoDirectAddress as error:
            raise CommandError(str(error)) from error
        words = ", ".join(f"{name} {ms} ms" for name, ms in settings.DATABASE_TIME_LIMITS.items())
        self.stdout.write(f"Role {role} in database {database}: {'no limits' if reset else words}.")

    def _alter(self, reset: bool) -> tuple[str, str]:
        """Set or reset each limit, for the role and the database of the connection; their names."""
        quote = connection.ops.quote_name
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, current_database()")
            role, database = cursor.fetchone()
            for name, milliseconds in settings.DATABASE_TIME_LIMITS.items():
                change = f"RESET {name}" if reset else f"SET {name} = {int(milliseconds)}"
                cursor.execute(f"ALTER ROLE {quote(role)} IN DATABASE {quote(database)} {change}")
        return role, database
