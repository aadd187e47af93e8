"""Rows a chunk at a time, in the order of a key and from where the last chunk ended (keyset), however many they are.

Each chunk is read when it is needed: rows that changed or came meanwhile are seen as they are then.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def id_chunks(rows: QuerySet[Any], size: int) -> Iterator[list[int]]:
    """The primary keys of the rows, ascending, in lists of at most `size`."""
    last = 0
    while ids := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:size]):
        yield ids
        last = ids[-1]


def row_chunks(rows: QuerySet[Row], size: int) -> Iterator[list[Row]]:
    """The rows themselves, by ascending primary key, in lists of at most `size`."""
    last = 0
    while chunk := list(rows.filter(pk__gt=last).order_by("pk")[:size]):
        yield chunk
        last = chunk[-1].pk
