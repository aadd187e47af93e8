"""The memory of the local Stripe in a file, so that a payment of yesterday can be refunded today.

The file is a SQLite database with one table of rows. Each change is written when it is made, all of it or nothing; all
rows are read at the start.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local_stripe.runtime.records import Decline, Record, TestCard
from local_stripe.runtime.tables import Table

VERSION = 1
BUSY_SECONDS = 1.0  # another local Stripe that ends right now has the file for so long

_LAYOUT = """
CREATE TABLE IF NOT EXISTS row (
    number INTEGER PRIMARY KEY, "table" TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE ("table", id)
)
"""
_WRITE = """
INSERT INTO row ("table", id, body) VALUES (?, ?, ?) ON CONFLICT ("table", id) DO UPDATE SET body = excluded.body
"""


class StorageUnavailableError(Exception):
    """Another process has the file open, or it can't be written."""


class UnreadableError(Exception):
    """The file is broken, or of another version."""


class Storage:
    """The file at ``path``, which nobody else may have open. Raises StorageUnavailableError or UnreadableError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._database = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # The file is nobody's but ours; a crash of this process loses nothing, and one of the machine little.
            for line in ("locking_mode = EXCLUSIVE", "synchronous = OFF"):
                self._database.execute(f"PRAGMA {line}")
            self._database.execute("BEGIN EXCLUSIVE")
            self._check()
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            in_use = "locked" in str(error)
            reason = "in use by another local Stripe" if in_use else str(error)
            raise StorageUnavailableError(f"{self.path}: {reason}") from error
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise UnreadableError(str(error)) from error

    def _check(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        (tables,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not version and not tables:
            self._database.execute(_LAYOUT)
            self._database.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            self._database.close()
            raise UnreadableError(f"it has version {version}, not {VERSION}")

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Every row, the oldest first: the name of its table, its id, and what was kept. Raises UnreadableError."""
        try:
            ((verdict,), *_) = self._database.execute("PRAGMA quick_check(1)").fetchall()
            if verdict != "ok":
                raise UnreadableError(verdict)
            for table, id, body in self._database.execute(
                'SELECT "table", id, body FROM row ORDER BY number'
            ):
                yield table, id, _decode(table, json.loads(body))
        except (sqlite3.DatabaseError, ValueError, TypeError, LookupError) as error:
            raise UnreadableError(str(error)) from error

    def save(self, tables: Mapping[str, Table[Any]]) -> None:
        """Write the rows that were touched, in one transaction. Raises sqlite3.Error, and then nothing is written."""
        if not any(table.touched for table in tables.values()):
            return
        self._database.execute("BEGIN")
        try:
            for name, table in tables.items():
                for id in table.touched:
                    row = dict.get(table, id)  # past the table's own `get`, which would touch it
                    if row is None:
                        self._database.execute('DELETE FROM row WHERE "table" = ? AND id = ?', (name, id))
                    else:
                        self._database.execute(_WRITE, (name, id, json.dumps(row, default=_encode)))
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        for table in tables.values():
            table.touched.clear()

    def close(self) -> None:
        """Let others have the file."""
        self._database.close()


def set_aside(path: str | os.PathLike[str]) -> Path:
    """Give a file that can't be read another name, so that a new one can begin; that name."""
    backup = Path(f"{path}.unreadable-{time.strftime('%Y%m%d-%H%M%S')}")
    os.replace(path, backup)
    for suffix in ("-journal", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    return backup


def _encode(value: Any) -> Any:
    if isinstance(value, Record):
        answer = value.answer and [value.answer[0], value.answer[1].decode()]
        return {"path": value.path, "params": value.params, "answer": answer}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"A {type(value).__name__} can't be kept.")


def _decode(table: str, value: Any) -> Any:
    if table == "idempotency_key":
        status, body = value["answer"] or (0, "")
        return Record(value["path"], value["params"], (status, body.encode()) if status else None)
    if table == "test_card":
        return TestCard(**{**value, "decline": value["decline"] and Decline(**value["decline"])})
    return value
