"""Reading many rows as of one moment, while others go on writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


@contextmanager
def snapshot(*, unlimited: bool = True) -> Iterator[None]:
    """A read-only transaction in which every query sees the same moment, and which keeps nobody from writing.

    With `unlimited`, for commands and jobs, queries may read and sort whole tables for as long as they need. Without,
    for requests, the limits of the connection stay; only between two queries a client may be slow to take its answer.
    Inside a transaction already, that one is used as it is.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if unlimited:
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                cursor.execute("SET LOCAL work_mem = '64MB'")
            else:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
            yield
        return
    connection.ensure_connection()
    sqlite: Any = connection
    mode, sqlite.transaction_mode = (
        sqlite.transaction_mode,
        "DEFERRED",
    )  # IMMEDIATE would keep writers waiting
    try:
        with transaction.atomic():
            yield
    finally:
        sqlite.transaction_mode = mode
