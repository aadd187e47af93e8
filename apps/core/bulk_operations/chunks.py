"""Rows in chunks: each chunk is a transaction of its own, in which the operation notes that it is done."""

from collections.abc import Callable, Generator, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.core.models import BulkOperation

PROGRESS = ("counts", "handled", "parameters", "position", "stage", "total", "updated_at")


class OperationStopped(Exception):
    """Somebody stopped the operation, or ended it."""


def lock_open(operation_id: int) -> BulkOperation:
    """The operation, its row locked before all others. Call it in a transaction. Raises OperationStopped."""
    operation: BulkOperation = BulkOperation.objects.select_for_update(no_key=True).get(pk=operation_id)
    if not operation.is_open:
        raise OperationStopped
    return operation


def in_chunks(
    operation_id: int,
    rows: QuerySet[Any],
    change: Callable[[BulkOperation, list[int]], Mapping[str, int]],
    *,
    size: int = 1000,
) -> Generator[None, None, None]:
    """Call `change` with the keys of the rows, ascending from the operation's position, in lists of at most `size`.

    It runs in the transaction that moves the position on, and returns what came of the rows; what it notes in the
    operation's `parameters` is kept too. So no row is handled
    twice, whenever the process ends, and if two processes are at it. Raises OperationStopped, or as `change` does.
    """
    while True:
        with transaction.atomic():
            # 1. The operation's row: whoever else is at it waits, and then goes on behind this chunk.
            operation = lock_open(operation_id)
            # 2. The next rows.
            ahead = rows.filter(pk__gt=operation.position).order_by("pk")
            ids = list(ahead.values_list("pk", flat=True)[:size])
            if not ids:
                return
            # 3. What is done with them, and in the same transaction how far it is.
            operation.add(change(operation, ids), handled=len(ids))
            operation.position = ids[-1]
            operation.save(update_fields=PROGRESS)
        yield
