"""One at a time, over all processes and machines that share the database."""

import fcntl
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection


@contextmanager
def try_lock(name: str) -> Iterator[bool]:
    """Whether nobody else is in a block of this name now; if so, nobody comes in until it ends.

    The lock ends with the process or its connection, so nothing stays locked. On PostgreSQL it is an advisory
    lock; SQLite, which has one machine at most, gets a file in the temporary folder.
    """
    if connection.vendor == "postgresql":
        key = zlib.crc32(name.encode())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
            mine = bool(cursor.fetchone()[0])
        try:
            yield mine
        finally:
            if mine:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
        return
    database = zlib.crc32(str(connection.settings_dict["NAME"]).encode())
    with Path(tempfile.gettempdir(), f"voucher-app-{database}-{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
