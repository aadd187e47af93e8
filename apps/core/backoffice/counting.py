"""Numbers of rows, read from addresses and counted at a bounded cost."""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import QuerySet


def is_row_number(text: str) -> bool:
    """Whether this may be the number of a row, as a page sends it."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def shown_number(number: int, most: int) -> str:
    """A number of rows for people; of more than `most` it is not known how many there are."""
    return f"{most:,}+" if number > most else f"{number:,}"


def bounded_counts(rows: Mapping[str, tuple[QuerySet[Any], int]]) -> dict[str, int]:
    """How many rows each queryset has, by its name: all in one statement, and each up to one more than its bound."""
    names, columns, parameters = [], [], []
    for name, (queryset, most) in rows.items():
        counted = queryset.order_by().values("pk")[: most + 1]
        text, values = counted.query.get_compiler(connection=connection).as_sql()
        names.append(name)
        columns.append(f"(SELECT COUNT(*) FROM ({text}) counted)")  # noqa: S608 - a text of Django's
        parameters.extend(values)
    if not columns:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", parameters)
        return dict(zip(names, cursor.fetchone(), strict=True))
