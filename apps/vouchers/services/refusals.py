"""Counting refused redemptions, by local day, service and reason.

A refusal costs its request no statement and no wait. It is counted in the memory of the process, and a thread adds what
was counted to the rows, WRITE_REFUSALS_EVERY seconds after the first of them; so does the end of the process. A process
that is killed loses what it has not written yet.

What is written is written once. Counts go in numbered batches, each in the transaction that notes its number on the row
of its process (RefusalWriter): if the answer to a COMMIT was lost, the batch is sent again and changes nothing.

The memory and the table stay small whatever is sent: a service that the request names is kept only if a type or
the voucher has it.
"""

import atexit
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from apps.vouchers.models import RefusalCount, RefusalWriter, VoucherType

log = logging.getLogger(__name__)

# Counts that a process keeps apart before it knows whether their services exist; others count under no service.
MOST_KEPT: Final = 500
LONGEST_SERVICE: Final = 50
LONGEST_REASON: Final = 40
LAST_WAIT: Final = 5.0  # seconds for which a process that ends waits for its own thread
KEEP_WRITERS: Final = timedelta(days=7)


class Refusal(NamedTuple):
    """What is counted. `is_known`: there is this service, or it is empty."""

    day: date
    service_type: str
    reason: str
    is_known: bool


@dataclass(frozen=True)
class Batch:
    """Counts that are written together, or not at all."""

    writer: UUID
    number: int
    counts: Mapping[Refusal, int]


def count_refusal(*, reason: str, requested_service: Any = None, voucher_service: str = "") -> None:
    """Count a redemption that was refused just now. Never raises, and never waits for the database.

    `reason` is one of RefusalReason, or another code of an answer. The service is the one that the request named,
    whatever that was, or else that of the voucher, if there is one.
    """
    _buffer.add(reason, requested_service, voucher_service)


def write_refusals() -> None:
    """Add what this process has counted to the rows. Raises DatabaseError, and then it is kept for the next time."""
    _buffer.write()


def forget_refusals() -> None:
    """Forget what this process has counted and not written; for tests, and for a process that was forked."""
    _buffer.reset()


def remove_old_refusals(*, now: datetime) -> int:
    """Delete the counts of days longer ago than KEEP_REFUSALS; how many rows."""
    RefusalWriter.objects.filter(written_at__lt=now - KEEP_WRITERS).delete()
    first = timezone.localdate(now - settings.KEEP_REFUSALS)
    number, _ = RefusalCount.objects.filter(day__lt=first).delete()
    return number


class RefusalBuffer:
    """The counts of one process that are not written yet."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as another writer."""
        self._lock = threading.Lock()  # for the fields below; held for no longer than it takes to count
        self._counts: Counter[Refusal] = Counter()
        self._services: frozenset[str] = frozenset()  # as of the last writing
        self._timer: threading.Timer | None = None
        self._writing = threading.Lock()  # for those below
        self._writer, self._number = uuid4(), 0
        self._unwritten: Batch | None = None  # the last batch, if it may not have been written

    def add(self, reason: str, requested_service: Any, voucher_service: str) -> None:
        """See count_refusal."""
        day = timezone.localdate(timezone=timezone.get_default_timezone())
        service, is_known = voucher_service, True
        if isinstance(requested_service, str) and requested_service not in ("", voucher_service):
            service, is_known = requested_service, requested_service in self._services
        if len(service) > LONGEST_SERVICE:
            service, is_known = "", True
        refusal = Refusal(day, service, reason[:LONGEST_REASON], is_known)
        with self._lock:
            if not is_known and refusal not in self._counts and len(self._counts) >= MOST_KEPT:
                refusal = refusal._replace(service_type="", is_known=True)
            self._counts[refusal] += 1
            if self._timer is None:
                self._start_timer()

    def write(self) -> None:
        """See write_refusals. Waits for another thread that writes."""
        with self._writing:
            self._write()

    def write_at_exit(self) -> None:
        """Write what is left, as the process ends. Never raises."""
        if settings.WRITE_REFUSALS_EVERY is None:
            return
        if not self._writing.acquire(timeout=LAST_WAIT):
            log.warning("The process ends while refusals are being written")
            return
        try:
            self._write()
        except (DatabaseError, InterfaceError) as error:
            log.warning("Refusals were lost as the process ended (%s)", type(error).__name__)
        finally:
            self._writing.release()
            connection.close()

    def _write(self) -> None:
        while batch := self._unwritten or self._next_batch():
            self._unwritten = batch
            self._services = store(batch)
            self._unwritten = None

    def _next_batch(self) -> Batch | None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return None
        self._number += 1
        return Batch(self._writer, self._number, counts)

    def _start_timer(self) -> None:
        """Have the counts written soon. The caller holds the lock."""
        seconds = settings.WRITE_REFUSALS_EVERY
        if seconds is None:
            return
        timer = threading.Timer(seconds, self._on_timer)
        timer.name, timer.daemon = "refusals", True
        try:
            timer.start()
        except RuntimeError:  # the system gives no more threads: the next refusal tries again
            return
        self._timer = timer

    def _on_timer(self) -> None:
        with self._lock:
            self._timer = None
        try:
            self.write()
        except (DatabaseError, InterfaceError) as error:
            log.warning("Refusals were not written (%s): they will be, later", type(error).__name__)
            with self._lock:
                if self._timer is None:
                    self._start_timer()
        finally:
            connection.close()


def store(batch: Batch) -> frozenset[str]:
    """Add a batch to the rows, unless that was done before. Returns the services that are known now."""
    with transaction.atomic():
        services = frozenset(VoucherType.objects.order_by().values_list("service_type", flat=True).distinct())
        RefusalWriter.objects.get_or_create(pk=batch.writer, defaults={"written_at": timezone.now()})
        is_new = RefusalWriter.objects.filter(pk=batch.writer, last_batch__lt=batch.number).update(
            last_batch=batch.number, written_at=timezone.now()
        )
        if is_new:
            _add_to_rows(batch.counts, services)
    return services


# The same text is right for PostgreSQL and SQLite; the ORM can only set the new number, not add to the old one.
_ADD: Final = """
INSERT INTO vouchers_refusalcount AS kept (day, service_type, reason, number) VALUES {rows}
ON CONFLICT (day, service_type, reason) DO UPDATE SET number = kept.number + EXCLUDED.number
"""


def _add_to_rows(counts: Mapping[Refusal, int], services: frozenset[str]) -> None:
    numbers: Counter[tuple[str, str, str]] = Counter()
    for refusal, number in counts.items():
        is_known = refusal.is_known or refusal.service_type in services
        service = refusal.service_type if is_known else ""
        numbers[refusal.day.isoformat(), service, refusal.reason] += number
    # In one order, so that processes that write at once wait for each other and never in a circle.
    rows = [(*key, number) for key, number in sorted(numbers.items())]
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD.format(rows=", ".join(["(%s, %s, %s, %s)"] * len(rows))),
            [column for row in rows for column in row],
        )


_buffer = RefusalBuffer()
atexit.register(lambda: _buffer.write_at_exit())
os.register_at_fork(after_in_child=forget_refusals)  # otherwise both would write what was counted before
