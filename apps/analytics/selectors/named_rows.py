"""Rows that are looked up by their ids, as of a short while there are few."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Subquery
from django.db.models.functions import Greatest
from django.db.models.sql.compiler import SQLCompiler


class NamedIds(Subquery):
    """The ids that a query gives, to stand after `__in`. PostgreSQL takes them for few, and looks each row up.

    Of a range of time a plan for all values expects a share of the table, however short the range is. It would rather
    read the table that the rows are looked up in as a whole.
    """

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **options: Any
    ) -> tuple[str, tuple[Any, ...]]:
        template = "(SELECT unnest(ARRAY(%(subquery)s)))"
        sql, parameters = self.as_sql(compiler, connection, template=template, **options)
        return sql, tuple(parameters)


def unindexed(path: str) -> Greatest:
    """A column as one that no index has, to narrow rows that are looked up by their ids already.

    Of one owner, or of a range, PostgreSQL may expect still fewer than these, and read a hundred thousand.
    """
    return Greatest(path, path)
