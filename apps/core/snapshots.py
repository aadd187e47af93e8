"""Reading many rows as of one moment, while others go on writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


@contextmanager
def one_moment() -> Iterator[None]:
    """A read-only transaction in which every query sees the same moment, and which keeps nobody from writing.

    The limits of the connection stay. Inside a transaction already, that one is used as it is.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "postgresql":
        with transaction.atomic():
            wrapper: Any = connection
            wrapper.begin_snapshot()
            yield
        return
    connection.ensure_connection()
    sqlite: Any = connection
    # IMMEDIATE would keep writers waiting.
    mode, sqlite.transaction_mode = sqlite.transaction_mode, "DEFERRED"
    try:
        with transaction.atomic():
            yield
    finally:
        sqlite.transaction_mode = mode


@contextmanager
def snapshot(*, unlimited: bool = True) -> Iterator[None]:
    """`one_moment` for whole tables.

    With `unlimited`, for commands and jobs, queries may read and sort them for as long as they need. Without, for
    requests, the limits of the connection stay; only between two queries a client may be slow to take its answer.
    """
    inside = connection.in_atomic_block
    with one_moment():
        if not inside and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                if unlimited:
                    cursor.execute("SET LOCAL statement_timeout = 0")
                    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                    cursor.execute("SET LOCAL work_mem = '64MB'")
                else:
                    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
        yield
