"""How many calls to Stripe may be in flight: so many in a process, and of one user one; none while Stripe says so.

A Stripe that hangs holds a slot, and a thread, for as long as our timeouts allow. The requests that one user sends at
once wait for each other, and leave the other slots to other users.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_caller: Final[ContextVar[int | None]] = ContextVar("stripe_caller", default=None)


class CallSlots:
    """Slots for calls, `total` of them."""

    def __init__(self, total: int) -> None:
        self._changed = threading.Condition()
        self._free = total
        self._callers: set[int | None] = set()

    @contextmanager
    def slot(self, *, timeout: float) -> Iterator[bool]:
        """A slot for the block; False where none was free, or the caller's own was in use, for `timeout` seconds."""
        caller = _caller.get()
        with self._changed:
            acquired = self._changed.wait_for(lambda: self._free and caller not in self._callers, timeout)
            if acquired:
                self._free -= 1
                if caller is not None:
                    self._callers.add(caller)
        try:
            yield bool(acquired)
        finally:
            if acquired:
                with self._changed:
                    self._free += 1
                    self._callers.discard(caller)
                    self._changed.notify_all()


class Pause:
    """Until when a process sends nothing to Stripe."""

    LONGEST: Final = 60  # seconds

    def __init__(self) -> None:
        self._until = 0.0  # time.monotonic

    def begin(self, seconds: int) -> None:
        """Send nothing for so many seconds from now, at most LONGEST; a longer pause stays."""
        self._until = max(self._until, time.monotonic() + min(seconds, self.LONGEST))

    def left(self) -> int:
        """How many seconds of it are left, rounded up; 0 for none."""
        return max(0, math.ceil(self._until - time.monotonic()))

    def end(self) -> None:
        """Calls may be sent again; for tests."""
        self._until = 0.0


@contextmanager
def on_behalf_of(user_id: int) -> Iterator[None]:
    """Calls in the block are this user's. Those outside (webhooks, jobs, staff) share the slots without a name."""
    token = _caller.set(user_id)
    try:
        yield
    finally:
        _caller.reset(token)
