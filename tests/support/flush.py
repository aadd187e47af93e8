"""Emptying the tables after a test that commits: fast, as hundreds of tests do."""

from django.core.management.color import no_style
from django.db import connection, transaction
from django.test import TransactionTestCase

FILLED_BY_MIGRATE = {"django_content_type", "auth_permission"}
FEW_BYTES = 2**20  # of a table with more it takes longer to delete the rows than to begin a new file


class FastFlushTestCase(TransactionTestCase):
    """A TransactionTestCase that empties only what a test may have filled, and on PostgreSQL mostly by DELETE.

    TRUNCATE makes a new file for each table and index: a hundred times the work, where there are few rows. What
    `migrate` filled stays: no test writes there, and to fill it anew takes longer than all the rest.
    """

    def _fixture_teardown(self) -> None:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        tables = sorted(set(tables) - FILLED_BY_MIGRATE)
        if connection.vendor == "postgresql" and _may_delete(tables):
            _delete_rows(tables)
        else:
            connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))


def _may_delete(tables: list[str]) -> bool:
    """Whether all tables are small, and this user may pass their triggers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('is_superuser') = 'on' AND max(pg_relation_size(oid)) <= %s"
            " FROM pg_class WHERE oid = ANY(%s::regclass[])",
            [FEW_BYTES, [connection.ops.quote_name(name) for name in tables]],
        )
        return bool(cursor.fetchone()[0])


def _delete_rows(tables: list[str]) -> None:
    names = [connection.ops.quote_name(name) for name in tables]
    with transaction.atomic(), connection.cursor() as cursor:
        # As with TRUNCATE, whatever is still under way ends first: else its rows would come after this.
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
        # Neither foreign keys, which are all emptied, nor the triggers that refuse a DELETE.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(";".join(f"DELETE FROM {name}" for name in names))
