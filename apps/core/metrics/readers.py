"""What is read when Prometheus asks: gauges of what waits in the database and elsewhere.

A reader's queries are bounded and driven by an index. On PostgreSQL each has a short time limit of its own. One that
fails says so (`scrape_failed`), and takes no other with it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

log = logging.getLogger(__name__)

KEPT_FOR: Final = (
    5.0  # seconds for which a reading is good: however many ask, the database is not asked more often
)
STATEMENT_MS: Final = 1000  # for a statement of a reader
BUDGET: Final = 5.0  # seconds after which no further reader begins; Prometheus gives up after ten


@dataclass(frozen=True)
class Gauge:
    """A number that goes up and down, and the names of its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What a gauge shows for some values of its labels."""

    gauge: Gauge
    number: float
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reader:
    """Reads some gauges at once. `read` gets the time; it raises whatever it likes.

    One that is not `from_database` is read without one, too. One that is not `bounded` sets no limit to its statements:
    because it looks at the limits that there are.
    """

    name: str
    gauges: Sequence[Gauge]
    read: Callable[[datetime], Iterable[Reading]]
    from_database: bool = True
    bounded: bool = True


DATABASE_UP: Final = Gauge("database_up", "Whether the database answers.")
SCRAPE_FAILED: Final = Gauge(
    "scrape_failed", "Whether these gauges could not be read: they are missing.", ("reader",)
)

_readers: list[Reader] = []


def register(*readers: Reader) -> None:
    """Add what is to be read, from the `ready` of an AppConfig. Each name is used once."""
    for reader in readers:
        assert all(reader.name != other.name for other in _readers), f"{reader.name} is registered already"
        _readers.append(reader)


def gauges() -> list[Gauge]:
    """All gauges, also those that have nothing to show now."""
    return [DATABASE_UP, SCRAPE_FAILED, *(gauge for reader in _readers for gauge in reader.gauges)]


class _Readings:
    """The readings of this process, kept for a moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._kept: list[Reading] = []
        self._until = 0.0

    def current(self) -> list[Reading]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._kept = _read_all()
                self._until = time.monotonic() + KEPT_FOR
            return self._kept


_readings = _Readings()
forget = _readings.forget


def readings() -> list[Reading]:
    """What all gauges show, as of some seconds ago at most. Never raises."""
    return _readings.current()


def _read_all() -> list[Reading]:
    deadline = time.monotonic() + BUDGET
    is_up = _database_answers()
    result = [Reading(DATABASE_UP, float(is_up))]
    for reader in _readers:
        read = None
        if time.monotonic() < deadline and (is_up or not reader.from_database):
            read = _read(reader)
        result.extend(read or ())
        result.append(Reading(SCRAPE_FAILED, float(read is None), (reader.name,)))
    return result


def _read(reader: Reader) -> list[Reading] | None:
    now = timezone.now()
    try:
        if not (reader.from_database and reader.bounded):
            return list(reader.read(now))
        with _bounded():
            return list(reader.read(now))
    except Exception as error:  # noqa: BLE001 - whatever it is, these gauges are missing and the others are not
        log.warning("Metrics: %s could not be read (%s)", reader.name, type(error).__name__)
        return None


def _database_answers() -> bool:
    try:
        with _bounded(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:  # noqa: BLE001 - of the driver, of Django, or of a system call
        log.warning("Metrics: the database does not answer (%s)", type(error).__name__)
        return False
    return True


@contextmanager
def _bounded() -> Iterator[None]:
    """Statements of the block end after STATEMENT_MS. On SQLite nothing is bounded, and nobody is kept from writing."""
    if connection.vendor != "postgresql":
        yield
        return
    is_inner = connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_MS}")
        yield
        if is_inner:  # the setting would last until the end of the transaction around this one
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
