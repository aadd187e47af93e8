"""What the database does for a statement, as it says itself."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from django.db import connection
from django.test.utils import CaptureQueriesContext

from .cases import CommittingTestCase

EXPLAIN: Final = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
EXPLAINED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "(SELECT")


def plan_of(statement: str) -> str:
    """The plan of a statement with its values in it, followed by the statement; it is not run."""
    with connection.cursor() as cursor:
        cursor.execute(f"{EXPLAIN} {statement}")
        return "".join(f"{row[-1]}\n" for row in cursor.fetchall()) + statement[:2000]


@contextmanager
def prepared_statements() -> Iterator[list[str]]:
    """What the block executes of prepared statements: each EXECUTE, with its values."""
    from psycopg2 import extensions

    from voucher_project.postgresql.prepared import PreparingCursor

    executed: list[str] = []
    execute = PreparingCursor._execute_prepared

    def noting(cursor: PreparingCursor, *arguments: Any) -> None:
        execute(cursor, *arguments)
        executed.append(extensions.cursor.query.__get__(cursor).decode())

    with patch.object(PreparingCursor, "_execute_prepared", noting):
        yield executed


def plan_for_all_values(executed: str) -> str:
    """The plan that a prepared statement has when PostgreSQL plans it once for all values."""
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        try:
            return plan_of(executed)
        finally:
            cursor.execute("RESET plan_cache_mode")


def whole_table(tables: Iterable[str]) -> str:
    """A regular expression for the line of a plan that reads all of one of these tables."""
    names = "|".join(tables)
    # With an index SQLite would say which.
    return rf"Seq Scan on ({names})\b" if connection.vendor == "postgresql" else rf"(?m)^SCAN ({names})$"


def rows_read(statement: str) -> list[tuple[str, int]]:
    """How many rows of which table each step of a statement looked at, as PostgreSQL counted them: it is run."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        [[answer]] = cursor.fetchall()
    document = json.loads(answer) if isinstance(answer, str) else answer
    return list(_scans(document[0]["Plan"]))


def _scans(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    if "Relation Name" in node:
        each = sum(
            node.get(name, 0)
            for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        )
        yield node["Relation Name"], round(each * node["Actual Loops"])
    for child in node.get("Plans", ()):
        yield from _scans(child)


class PlanTestCase(CommittingTestCase):
    """Tests that ask for plans. Not in a transaction: VACUUM can't be."""

    def tidy(self, *tables: str) -> None:
        """The plan must not depend on what earlier tests left in these tables; then note what is visible."""
        statements = ["ANALYZE"]
        if connection.vendor == "postgresql":
            statements = [f"VACUUM FULL {', '.join(tables)}", "VACUUM ANALYZE"]
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextmanager
    def without_reading_whole_tables(self) -> Iterator[None]:
        """PostgreSQL reads a table as a whole only where no index would do, however few rows it has."""
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            try:
                yield
            finally:
                cursor.execute("RESET enable_seqscan")

    def statements_of(self, call: Callable[[], Any], status: int = 200) -> list[str]:
        """The statements that a request sends, transaction control not counted; it is answered with this status."""
        with CaptureQueriesContext(connection) as captured:
            response = call()
        self.assertEqual(response.status_code, status, response.content[:500])
        return [each["sql"] for each in captured.captured_queries if each["sql"].startswith(EXPLAINED)]
