"""Which indexes our tables have: each one is written to with every row, so none is there for nothing."""

from typing import Any
from unittest import skipUnless

from django.apps import apps
from django.db import connection
from django.test import TestCase, tag

CHANGED_BY_REDEEMING = {"uses_remaining", "uses_reversed"}


@tag("server")
@skipUnless(connection.vendor == "postgresql", "asks PostgreSQL's catalogue")
class IndexTests(TestCase):
    def indexes(self) -> list[dict[str, Any]]:
        """Each index of our own models, with the columns that it sorts by, in order."""
        tables = [model._meta.db_table for model in apps.get_models() if model.__module__.startswith("apps.")]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT x.indrelid::regclass::text, i.relname, x.indisunique, pg_get_indexdef(x.indexrelid),"
                " pg_get_expr(x.indpred, x.indrelid),"
                " ARRAY(SELECT pg_get_indexdef(x.indexrelid, n, true) FROM generate_series(1, x.indnkeyatts) n)"
                " FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
                " WHERE x.indrelid::regclass::text = ANY(%s)",
                [tables],
            )
            names = ("table", "name", "unique", "definition", "condition", "columns")
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def test_no_index_is_the_beginning_of_another(self) -> None:
        indexes = self.indexes()
        self.assertGreater(len(indexes), 40)
        for index in indexes:
            others = [
                other["name"]
                for other in indexes
                if other["table"] == index["table"]
                and " USING brin " not in other["definition"]  # which gives no order, and no single row
                and other["name"] != index["name"]
                and other["condition"] in (None, index["condition"])
                and other["columns"][: len(index["columns"])] == index["columns"]
            ]
            if not index["unique"]:  # that one is a guarantee
                self.assertEqual(others, [], f"{index['name']} can go: db_index=False, and DropFieldIndex")

    def test_there_are_none_for_prefixes(self) -> None:
        """Django makes a second index for a text column that is unique or has one; nothing of ours says LIKE 'a%'."""
        names = [index["name"] for index in self.indexes() if "pattern_ops" in index["definition"]]
        self.assertEqual(names, [], "DropPrefixIndex, in the migration that adds the column")

    def test_no_index_has_a_column_that_redeeming_changes(self) -> None:
        for index in self.indexes():
            if index["table"] == "vouchers_voucher":
                for column in CHANGED_BY_REDEEMING:
                    self.assertNotIn(column, index["definition"], "redeeming would write to every index")
