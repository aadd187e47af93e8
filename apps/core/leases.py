"""One at a time, over all processes and machines that share the database: work that is held by a lease.

A lease is a row with an end, by the database's clock. It is acquired and renewed by a guarded UPDATE, and released by
a DELETE, each in autocommit, so that nothing depends on a session: a pooler may answer each of them on another
connection. Nothing stays locked where a process was killed: the lease runs out.

Whoever has it renews it before each step that writes, and stops if it is no longer theirs (LeaseLost). A step that
outlasts the lease may overlap with another holder's; so what is done under a lease must be safe to do twice, and a
lease saves doing so.
"""

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import DatabaseError
from django.db.models.functions import Now

from .models import Lease

log = logging.getLogger(__name__)

# Longer than most steps between two renewals; for how long a bulk operation (bulk_operations/lifecycle.py) or a mail
# (mail/delivery.py) is reserved stands there.
DEFAULT_LENGTH: Final = timedelta(minutes=10)
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


class LeaseLost(Exception):
    """The lease has run out or is another's: whoever had it writes no more."""


@dataclass(frozen=True)
class HeldLease:
    """A lease that this block holds."""

    name: str
    holder: str
    length: timedelta

    def renew(self) -> None:
        """Hold it for another `length` from now. Raises LeaseLost where it has run out, or is another's."""
        mine = Lease.objects.filter(name=self.name, holder=self.holder, expires_at__gt=Now())
        if not mine.update(expires_at=Now() + self.length):
            log.warning("Lease %s: lost by %s", self.name, self.holder)
            raise LeaseLost(self.name)

    def release(self) -> None:
        """Let others have it at once. One that is lost is left alone; one that can't be released runs out."""
        try:
            Lease.objects.filter(name=self.name, holder=self.holder).delete()
        except DatabaseError as error:
            log.warning("Lease %s: not released (%s), it runs out", self.name, type(error).__name__)


@contextmanager
def try_acquire(name: str, *, length: timedelta = DEFAULT_LENGTH) -> Iterator[HeldLease | None]:
    """The lease of this name for the block, or None where another holds it.

    It runs out after `length`, from now or from when it was last renewed. Not to be called in a transaction: until its
    end nobody else would see who holds the lease.
    """
    # The host and process tell a person who reads the row whose it is; the rest tells two threads apart.
    lease = HeldLease(name, f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex}", length)
    if not _acquire(lease):
        yield None
        return
    try:
        yield lease
    finally:
        lease.release()


def _acquire(lease: HeldLease) -> bool:
    """Whether the lease was free and is held from now on."""
    free = Lease.objects.filter(name=lease.name, expires_at__lte=Now())
    if free.update(holder=lease.holder, expires_at=Now() + lease.length):
        return True
    if Lease.objects.filter(name=lease.name).exists():
        return False
    # Mostly there is no row. Of several that insert it at once, one does; and one of them takes it.
    Lease.objects.bulk_create([Lease(name=lease.name, holder="", expires_at=NEVER)], ignore_conflicts=True)
    return bool(free.update(holder=lease.holder, expires_at=Now() + lease.length))
