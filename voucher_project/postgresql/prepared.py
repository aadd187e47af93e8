"""Prepared statements of PostgreSQL for each StaticSql, in each connection from its first use on.

PostgreSQL plans each once for all values (`plan_cache_mode`, which `base.py` sets). See decision 19.
"""

from typing import Any, Final

import psycopg2
from psycopg2 import errors, extensions

from apps.core.static_sql import StaticSql

# What says that a statement has to be prepared anew.
_STALE: Final = (
    errors.FeatureNotSupported,  # a migration changed the type of a column that it reads
    errors.InvalidSqlStatementName,  # something forgot it: DISCARD ALL, or a pooler took another connection
    errors.DuplicatePreparedStatement,  # it is of somebody before us: a pooler, again
)


class PreparingConnection(extensions.connection):
    """A connection that knows which statements it has prepared."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.prepared: dict[str, str] = {}  # the EXECUTE of each, by the name of the StaticSql
        self.generation = 0

    def forget_statements(self) -> None:
        """Prepare each statement anew, under another name, when it is next executed."""
        self.prepared.clear()
        self.generation += 1


class PreparingCursor(extensions.cursor):
    """A cursor that prepares and executes what is a StaticSql, and sends any other text as it is."""

    connection: PreparingConnection
    _static: tuple[StaticSql, Any] | None = None

    def execute(self, query: Any, vars: Any = None) -> None:
        """As psycopg2's."""
        if not isinstance(query, StaticSql):
            self._static = None
            super().execute(query, vars)
            return
        self._static = query, vars
        try:
            self._execute_prepared(query, vars)
        except _STALE as error:
            self.connection.forget_statements()
            if self.connection.info.transaction_status != extensions.TRANSACTION_STATUS_IDLE:
                raise psycopg2.OperationalError(
                    "A prepared statement is out of date: send the request again."
                ) from error
            self._execute_prepared(query, vars)

    def _execute_prepared(self, sql: StaticSql, parameters: Any) -> None:
        prepared = self.connection.prepared
        if sql.name not in prepared:
            name = f"{sql.name}_{self.connection.generation}"
            types = f" ({', '.join(sql.types)})" if sql.types else ""
            super().execute(f"PREPARE {name}{types} AS {sql.numbered}")
            prepared[sql.name] = f"EXECUTE {name}{sql.places}"
        super().execute(prepared[sql.name], sql.values(parameters))

    @property
    def query(self) -> bytes | None:
        """What was executed last, with its values, for who looks at it."""
        if self._static is not None:
            return bytes(self.mogrify(*self._static))
        sent: bytes | None = super().query
        return sent
