"""Slow queries: a warning for each, with its SQL and without its parameters.

Every query passes here, so nothing is done for a quick one but to read the clock twice and to compare. That is why the
connection knows the limit itself, and why there is a cursor instead of an `execute_wrapper`, for which Django builds a
context each time. Connections whose cursors are Django's own, those to SQLite, have a wrapper all the same.
"""

import logging
import re
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter
from typing import Any, Final

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from .context import current_route, current_task

log = logging.getLogger(__name__)

LONGEST_SQL: Final = 2_000
# What in the text may be a value: a literal in any spelling of PostgreSQL, also one that nothing ends, and a comment.
# Names in quotation marks stay: an apostrophe in one begins nothing.
_LITERAL: Final = re.compile(
    r"""
    (?P<name>"[^"]*+")
    | (?<!\w)E'(?:[^'\\]|\\.|'')*+(?:'|\Z)
    | '(?:[^']|'')*+(?:'|\Z)
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | --[^\n]*+
    | /\*.*?(?:\*/|\Z)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# What says only how many values there were.
_LIST: Final = re.compile(r"%s(?:, ?%s){3,}+")
_BLANKS: Final = re.compile(r"\s+")


def limit_in_seconds() -> float:
    """From how many seconds on a query is slow, by the setting SLOW_QUERY_MS; infinite where none is."""
    return settings.SLOW_QUERY_MS / 1000 or inf


class TimedCursor(CursorWrapper):
    """Django's cursor, which warns of each query that takes `slow_query_seconds` of its connection, or fails then."""

    def execute(self, sql: Any, params: Any = None) -> Any:
        started = perf_counter()
        try:
            if self.db.execute_wrappers:
                return super().execute(sql, params)
            return self._execute(sql, params)
        finally:
            seconds = perf_counter() - started
            if seconds >= self.db.slow_query_seconds:
                warn(sql, seconds)

    def executemany(self, sql: Any, param_list: Sequence[Any]) -> Any:
        started = perf_counter()
        try:
            return super().executemany(sql, param_list)
        finally:
            seconds = perf_counter() - started
            if seconds >= self.db.slow_query_seconds:
                warn(sql, seconds)


def watch_connection(connection: Any, **kwargs: Any) -> None:
    """Time the queries of a connection that has no TimedCursor: a receiver of `connection_created`."""
    if not hasattr(connection, "slow_query_seconds"):
        connection.slow_query_seconds = limit_in_seconds()
        connection.execute_wrappers.append(_timed)


def _timed(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    started = perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        seconds = perf_counter() - started
        if seconds >= context["connection"].slow_query_seconds:
            warn(sql, seconds)


def warn(sql: Any, seconds: float) -> None:
    """Log a query that took so long."""
    text, route, task, ms = without_values(str(sql)), current_route(), current_task.get(), seconds * 1000
    place = route or (task.name if task else "outside a request")
    fields = {"ms": round(ms, 1), "route": route, "sql": text}
    log.warning("Slow query: %.0f ms, %s: %s", ms, place, text, extra={"fields": fields})


def without_values(sql: str) -> str:
    """The text of a statement on one line, cut to LONGEST_SQL, without literals and with long lists of places short."""
    text = _LIST.sub("%s, …", _LITERAL.sub(lambda match: match["name"] or "'…'", sql))
    text = _BLANKS.sub(" ", text).strip()
    return text if len(text) <= LONGEST_SQL else f"{text[:LONGEST_SQL]}…"
