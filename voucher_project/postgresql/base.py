"""The connection to PostgreSQL: Django's, but for how it is known to be alive at the beginning of a request, for what
a pooler before PostgreSQL can't do, for prepared statements, and for cursors that warn of slow queries."""

import select
import time
from typing import Any, Final

import psycopg2
from django.db.backends.postgresql import base
from psycopg2 import extensions

from apps.core.logs.slow_queries import TimedCursor, limit_in_seconds

from .prepared import PreparingConnection, PreparingCursor

# A connection that has rested for longer is asked: what lies between may have forgotten it without a word, as
# firewalls do after some minutes, or the server may have lost its power.
TRUSTED_SECONDS: Final = 10


class TimedDebugCursor(base.CursorDebugWrapper, TimedCursor):
    """Where DEBUG is on: keeps the queries, too."""


class DatabaseWrapper(base.DatabaseWrapper):
    """With CONN_HEALTH_CHECKS Django sends `SELECT 1` before the first query of each request that reuses a connection.

    A server that ends a connection, by a restart, a failover or `pg_terminate_backend`, says so: the socket has
    something to read. So one that was used a moment ago and has nothing to read is alive. Any other is asked, as Django
    does, and replaced if it does not answer.
    """

    health_check_done: bool  # Django's
    _used_at = 0.0  # when a query last began (time.monotonic)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.slow_query_seconds = limit_in_seconds()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that prepares statements, but behind a pooler: there the next one may be somewhere else."""
        if not self.settings_dict.get("POOLED"):
            classes = {"connection_factory": PreparingConnection, "cursor_factory": PreparingCursor}
            # Of one that is prepared PostgreSQL looks at no values: what needs that is not (PreparedRangeQuery). To
            # compile a plan (jit) takes longer than to read what a request reads.
            options = f"{conn_params.get('options', '')} -c plan_cache_mode=force_generic_plan -c jit=off"
            conn_params = {**conn_params, **classes, "options": options}
        return super().get_new_connection(conn_params)

    def begin_snapshot(self) -> None:
        """Have the transaction that is about to begin read one moment, and write nothing. No query was sent in it."""
        self.connection.isolation_level = extensions.ISOLATION_LEVEL_REPEATABLE_READ
        self.connection.readonly = True

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit and self.connection.readonly:
            # While psycopg2 only notes it: in autocommit it tells the server of each change.
            self.connection.isolation_level = self.connection.readonly = None
        super()._set_autocommit(autocommit)  # type: ignore[misc]  # untyped

    def make_cursor(self, cursor: Any) -> TimedCursor:
        """The cursor that Django works with."""
        return TimedCursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> TimedDebugCursor:
        """The same where queries are kept."""
        return TimedDebugCursor(cursor, self)

    def chunked_cursor(self) -> Any:
        """A cursor whose rows stay on the server until they are fetched, for `iterator()`.

        Behind a pooler that hands out a connection for a transaction, only inside one: such a cursor belongs to the
        connection, and the next statement of this client may get another. Outside one all rows are fetched at once.
        """
        if self.settings_dict.get("POOLED") and not self.in_atomic_block:
            return self.cursor()
        return super().chunked_cursor()

    def close_if_health_check_failed(self) -> None:
        """Close the connection if it is dead, so that the query which begins now gets a new one."""
        now = time.monotonic()
        is_fresh = now - self._used_at < TRUSTED_SECONDS
        self._used_at = now
        if self.connection is not None and not self.health_check_done and is_fresh and self._is_silent():
            self.health_check_done = True
        super().close_if_health_check_failed()

    def _is_silent(self) -> bool:
        """Whether the server has sent nothing, and not ended the connection, since its last answer."""
        try:
            poll = select.poll()
            poll.register(self.connection.fileno(), select.POLLIN)
            return not poll.poll(0)
        except (psycopg2.Error, OSError, ValueError):
            return False
