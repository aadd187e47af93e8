"""Numbers of rows, read from addresses and counted at a bounded cost."""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from apps.core.prepared_queries import Subselect


def is_row_number(text: str) -> bool:
    """Whether this may be the number of a row, as a page sends it."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def shown_number(number: int, most: int) -> str:
    """A number of rows for people; of more than `most` it is not known how many there are."""
    return f"{most:,}+" if number > most else f"{number:,}"


def bounded_counts(rows: Mapping[str, tuple[QuerySet[Any], int]]) -> dict[str, int]:
    """How many rows each queryset has, by its name: all in one statement, and each up to one more than its bound."""
    subselects = {}
    for name, (queryset, most) in rows.items():
        counted = queryset.order_by().values("pk")[: most + 1]
        text, values = counted.query.get_compiler(connection=connection).as_sql()
        subselects[name] = Subselect(f"({text})", values)
    return numbers_of(subselects)


def numbers_of(subselects: Mapping[str, Subselect]) -> dict[str, int]:
    """How many rows each query gives, by its name: all in one statement, and none where there is nothing to count."""
    if not subselects:
        return {}
    columns = [f"(SELECT COUNT(*) FROM {each.sql} counted)" for each in subselects.values()]  # noqa: S608 - of Django
    parameters = [value for each in subselects.values() for value in each.parameters]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", parameters)
        return dict(zip(subselects, cursor.fetchone(), strict=True))
