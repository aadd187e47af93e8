"""Records beside Stripe's objects: test cards, pending faults, and idempotency keys."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass


@dataclass
class Record:
    """The first request under an idempotency key, and its answer once there is one."""

    path: str
    params: str
    answer: tuple[int, bytes] | None = None


@dataclass(frozen=True)
class TestCard:
    """What a card does when charged: succeeds, or ``decline``; first asks the customer, or settles later.

    ``dispute`` is what follows the charge: a reason, or ``inquiry``. ``refund`` is where a refund begins that
    gets a second step: ``pending`` (it will succeed) or ``succeeded`` (it will fail).
    """

    __test__ = False

    brand: str
    last4: str
    decline: Decline | None = None
    authentication: bool = False
    delayed: bool = False
    dispute: str | None = None
    refund: str | None = None


@dataclass(frozen=True)
class Decline:
    """Why a charge fails: Stripe's error code, its decline code, and the message for the customer."""

    code: str
    decline_code: str | None
    message: str


@dataclass
class Fault:
    """A failure to inject into the next ``times`` requests that match ``method`` and ``path``.

    ``path`` is a prefix, or, beginning with ``^``, a regular expression. Then, alone or together:
    ``status`` answers this error before any effect (``stored`` keeps it under the idempotency key);
    ``delay`` waits so many seconds before the effect, ``effect_then_delay`` after it;
    ``drop`` closes the connection before any effect;
    ``effect_then_error`` executes the request, then answers 500 (True) or this status, which is stored
    under the idempotency key as Stripe does; or "drop": the true answer is stored, the connection closed;
    ``retry_after`` sends this many seconds as Retry-After with an error;
    ``above_per_second`` spares so many requests in each second, as a rate limit does, and never ends.
    """

    method: str = ""
    path: str = "/v1/"
    times: int = 1
    status: int = 0
    stored: bool = False
    delay: float = 0.0
    drop: bool = False
    effect_then_error: int | str | bool = False
    effect_then_delay: float = 0.0
    retry_after: int = 0
    above_per_second: int = 0

    def __post_init__(self) -> None:
        self._spared: deque[float] = deque()  # when, in seconds of a clock that only goes forward

    def matches(self, method: str, path: str) -> bool:
        """Whether the fault applies to a request."""
        if self.method and self.method.upper() != method:
            return False
        if self.path.startswith("^"):
            return re.search(self.path, path) is not None
        return path.startswith(self.path)

    def spares(self, now: float) -> bool:
        """Whether the second that ends ``now`` has room for one more request, which then counts."""
        while self._spared and self._spared[0] <= now - 1:
            self._spared.popleft()
        if len(self._spared) >= self.above_per_second:
            return False
        self._spared.append(now)
        return True

    @property
    def status_after_effect(self) -> int:
        """The error to answer after the effect, 0 for none."""
        if self.effect_then_error in (False, "drop"):
            return 0
        return 500 if self.effect_then_error is True else int(self.effect_then_error)

    @property
    def drops_after_effect(self) -> bool:
        """Whether the connection closes after the effect."""
        return self.effect_then_error == "drop"
