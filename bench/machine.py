"""What a run needs around the applications: a PostgreSQL and a Redis of its own, and databases in them."""

import os
import re
import sys
from typing import Any, Final

import psycopg2

from tests.support import services

from .processes import PROJECT, cpu_seconds

WITHOUT: Final = PROJECT / "bench/without"  # in the place of packages that production does not have
# As on a small server. fsync is off, as in the tests: what is measured is the software, not this machine's disk, which
# would be the same for all. How often each of them writes shows in the statements.
POSTGRES: Final = (
    "shared_buffers = '1GB'",
    "max_wal_size = '4GB'",
    "random_page_cost = 1.1",
    "shared_preload_libraries = 'pg_stat_statements'",
    "pg_stat_statements.track_utility = on",  # BEGIN and COMMIT are round trips too
)


class Machine:
    """The two servers, and the folder in which a run leaves all that it writes; it vanishes with this process."""

    def __init__(self) -> None:
        self.home = services.new_home()
        programs, redis = services.postgres_programs(self.home), services.redis_program()
        if programs is None or redis is None:
            sys.exit("PostgreSQL and Redis are missing: pip install -r requirements-dev.txt")
        self.programs = programs
        self.address = services.start_postgres(programs, self.home, *POSTGRES)
        self.redis = services.start_redis(redis, self.home)
        self._postmaster = int((self.home / "data/postmaster.pid").read_text().split()[0])
        self.administer("CREATE EXTENSION pg_stat_statements")

    def url(self, database: str) -> str:
        """The address of a database on this server."""
        return f"{self.address.rpartition('/')[0]}/{database}"

    def connect(self, database: str) -> Any:
        """A new connection to a database, in autocommit."""
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        return connection

    def create_database(self, name: str) -> str:
        """A new, empty database; its address."""
        self.administer(f"CREATE DATABASE {name}")
        return self.url(name)

    def administer(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in the database `postgres`; its rows, if it has any."""
        connection = self.connect("postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def settle(self) -> None:
        """Let nothing that was loaded still be written while something is measured."""
        self.administer("CHECKPOINT")

    def statements(self, database: str) -> int:
        """How many statements the server was sent for a database, since its start.

        The checks of deferred foreign keys, which PostgreSQL does at COMMIT by statements of its own, are left out.
        """
        connection = self.connect("postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s"
                    " JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = %s"
                    " AND query NOT LIKE '%% FROM ONLY %% FOR KEY SHARE OF x'",
                    [database],
                )
                return int(cursor.fetchone()[0])
        finally:
            connection.close()

    def postgres_cpu(self) -> float:
        """CPU seconds of PostgreSQL and all its processes."""
        return cpu_seconds(self._postmaster)


def product_environment(**values: str) -> dict[str, str]:
    """The environment of the product. What of its configuration `values` lack is empty: no `.env` is read."""
    return {**plain_environment(), **dict.fromkeys(_configuration(), ""), **values}


def plain_environment(**values: str) -> dict[str, str]:
    """The environment of any other program: this process's without the product's configuration, and `values`.

    Of what the development requirements bring it has nothing that would be loaded unasked.
    """
    names = {*_configuration(), "DJANGO_SETTINGS_MODULE"}
    paths = os.pathsep.join(filter(None, (str(WITHOUT), os.environ.get("PYTHONPATH"))))
    others = {name: value for name, value in os.environ.items() if name not in names}
    return {**others, "PYTHONPATH": paths, **values}


def _configuration() -> list[str]:
    """The variables that the product's settings read."""
    return re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
