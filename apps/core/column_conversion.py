"""What Django makes of the columns that the database returned, without what changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models.sql.compiler import SQLCompiler

# As PostgreSQL calls them (pg_type.oid). SQLite tells no types.
INTEGERS: Final = (20, 21, 23)
NUMERIC: Final = 1700


class Conversion(NamedTuple):
    """What is done to the column at a place of each row, one after the other."""

    place: int
    functions: Sequence[Callable[..., Any]]
    expression: Any


def conversions_of(compiler: SQLCompiler) -> list[Conversion]:
    """Those of a compiled query."""
    converters = compiler.get_converters([column for column, _, _ in compiler.select or ()])
    return [Conversion(place, *by_place) for place, by_place in converters.items()]


def needed(conversions: Sequence[Conversion], cursor: CursorWrapper) -> list[Conversion]:
    """Those that change what the cursor returns of its query: PostgreSQL's sum of integers is an integer as it is."""
    columns: Any = cursor.description
    return [each for each in conversions if not _changes_nothing(each, type_code=columns[each.place][1])]


def _changes_nothing(conversion: Conversion, *, type_code: Any) -> bool:
    expression = conversion.expression
    if conversion.functions != [getattr(expression, "convert_value", None)]:
        return False
    kind = expression.output_field.get_internal_type()
    if kind == "DecimalField":
        return bool(type_code == NUMERIC)
    return kind.endswith("IntegerField") and type_code in INTEGERS


def convert(columns: Sequence[Any], conversions: Sequence[Conversion]) -> list[Any]:
    """A row with what is done to its columns."""
    converted = list(columns)
    for place, functions, expression in conversions:
        for function in functions:
            converted[place] = function(converted[place], expression, connection)
    return converted
