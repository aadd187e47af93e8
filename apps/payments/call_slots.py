"""How many calls to Stripe may be in flight: so many in a process, and of one user one.

A Stripe that hangs holds a slot, and a thread, for as long as our timeouts allow. The requests that one user sends at
once wait for each other, and leave the other slots to other users.
"""

import threading
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


@contextmanager
def on_behalf_of(user_id: int) -> Iterator[None]:
    """Calls in the block are this user's. Those outside (webhooks, jobs, staff) share the slots without a name."""
    token = _caller.set(user_id)
    try:
        yield
    finally:
        _caller.reset(token)
