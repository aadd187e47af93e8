"""Delayed second steps, taken in the order in which they were added."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from local_stripe.runtime.state import State

logger = logging.getLogger(__name__)

Step = Callable[[], None]


class Scheduler:
    """A queue and its one thread. With ``seconds`` None steps are dropped: only callers settle."""

    def __init__(self, state: State, seconds: float | None) -> None:
        if seconds is not None and not 0 <= seconds <= 86400:
            raise ValueError("Second steps come after 0 to 86400 seconds.")
        self.state = state
        self.seconds = seconds
        self._changed = threading.Condition(state.lock)
        self._steps: deque[tuple[float, Step]] = deque()
        self._stopped = False

    def add(self, step: Step) -> None:
        """Take ``step`` after ``seconds``. The caller holds the lock, and the step runs under it."""
        if self.seconds is not None:
            self._steps.append((time.monotonic() + self.seconds, step))
            self._changed.notify_all()

    def start(self) -> None:
        """Begin to take steps."""
        if self.seconds is not None:
            threading.Thread(target=self._work, name="local-stripe-later", daemon=True).start()

    def stop(self) -> None:
        """Take no more steps."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Drop the steps not yet taken."""
        with self._changed:
            self._steps.clear()

    def _work(self) -> None:
        with self._changed:
            while not self._stopped:
                left = self._steps[0][0] - time.monotonic() if self._steps else None
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                try:
                    with self.state.transaction():
                        self._steps.popleft()[1]()
                except Exception:
                    logger.exception("The local Stripe failed on a second step")
