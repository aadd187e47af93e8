"""Rows that are inserted by statements with fixed text: their columns, and what an instance has in these.

Django compiles an INSERT anew each time, and asks each field how its value is written. For most there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from .static_sql import StaticSql

Column: TypeAlias = "models.Field[Any, Any]"

# What the driver of PostgreSQL writes as the field would have it, by the field: values of exactly these types.
# A Decimal is none of them: its field refuses NaN, which PostgreSQL would take for an amount.
_WRITTEN_AS_THEY_ARE: Final[dict[type[Column], type]] = {
    models.BigAutoField: int,
    models.BigIntegerField: int,
    models.BooleanField: bool,
    models.CharField: str,
    models.IntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.TextField: str,
    models.UUIDField: UUID,
}


def columns_of(model: type[models.Model], *, without: Collection[str] = ()) -> list[str]:
    """The columns of a model's table, for an INSERT that is written as text."""
    return [str(field.column) for field in model._meta.concrete_fields if field.column not in without]


def values_of(row: models.Model, *, without: Collection[str] = ()) -> list[Any]:
    """What an instance has in the columns of `columns_of`, as the database's driver takes it."""
    fields = [pair for pair in _fields_of(type(row)) if pair[0].column not in without]
    return _written(fields, [getattr(row, field.attname) for field, _ in fields])


def insert(row: models.Model) -> None:
    """Insert a row whose id the database makes, as `bulk_create` does, by a statement with fixed text. One query.

    Its values are no expressions; its id is not read back.
    """
    model = type(row)
    fields = [pair for pair in _fields_of(model) if not pair[0].primary_key]
    values = [field.pre_save(row, add=True) for field, _ in fields]
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(model), _written(fields, values))


def _written(fields: Sequence[tuple[Column, type | None]], values: Iterable[Any]) -> list[Any]:
    """The values of fields as the database's driver takes them. With each field comes `_plain_type`."""
    database = connections[DEFAULT_DB_ALIAS]  # `connection` looks it up anew for each of its attributes
    is_postgresql = database.vendor == "postgresql"
    return [
        value
        if value is None or (is_postgresql and type(value) is plain)
        else field.get_db_prep_save(value, database)
        for (field, plain), value in zip(fields, values, strict=True)
    ]


@cache
def _fields_of(model: type[models.Model]) -> list[tuple[Column, type | None]]:
    """The fields that have a column, each with the type of values that are written as they are."""
    return [(field, _plain_type(field)) for field in model._meta.concrete_fields]


def _plain_type(field: Column) -> type | None:
    """The type whose values PostgreSQL's driver writes as they are."""
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return _WRITTEN_AS_THEY_ARE.get(type(field))


@cache
def _insert_sql(model: type[models.Model]) -> StaticSql:
    columns = [f'"{field.column}"' for field in model._meta.concrete_fields if not field.primary_key]
    places = ", ".join(["%s"] * len(columns))
    return StaticSql(f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES ({places})")  # noqa: S608 - names
