"""Whether requests can be served, for load balancers, and what else does not work, for operators."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from django.conf import settings
from django.utils import timezone

from . import health, heartbeats

log = logging.getLogger(__name__)

# Without these no request works. Without the rest limits are weaker, jobs and mail wait, pictures are refused; but
# every request is served, and to send traffic elsewhere, where it is the same, would help nobody.
NECESSARY: Final = ("database", "migrations")
FROM_DATABASE: Final = ("migrations", "time_limits", "worker", "beat")
RECENT: Final = 10.0  # seconds


class _Probe:
    """One look at all dependencies at a time: where one hangs, whoever asks meanwhile would hold a thread each."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._last: tuple[float, dict[str, str]] | None = None  # when, by time.monotonic, and what

    def states(self) -> dict[str, str]:
        """The states now; while another thread looks those of the last time, unless that is long ago."""
        last = self._last
        is_recent = last is not None and time.monotonic() - last[0] < RECENT
        if not self._looking.acquire(blocking=not is_recent):
            assert last is not None
            return last[1]
        try:
            if (
                self._last is None or self._last is last
            ):  # else another thread has looked while this one waited
                self._last = time.monotonic(), states()
            return self._last[1]
        finally:
            self._looking.release()


recent_states: Final = _Probe().states


def states() -> dict[str, str]:
    """Each dependency's state: one of the words of health.py, or that it does not answer.

    Then it is "failed" where no request works without it (`NECESSARY`), and "degraded" where every request is served.
    What does not answer is waited for once and not long: a database that is away is not asked again.
    """
    signs: dict[str, str] = {}

    def sign_of(name: str) -> str:
        if not settings.CELERY_BROKER_URL:
            return "not configured"
        if not signs:
            signs.update(heartbeats.states(timezone.now()))
        return signs[name]

    checks: dict[str, Callable[[], str]] = {
        "database": health.database,
        "migrations": health.migrations,
        "time_limits": health.time_limits,
        "media": health.media,
        "cache": health.cache,
        "broker": health.broker,
        "worker": lambda: sign_of(heartbeats.WORKER),
        "beat": lambda: sign_of(heartbeats.SCHEDULE),
    }
    result: dict[str, str] = {}
    for name, check in checks.items():
        if name in FROM_DATABASE and result["database"] != "ok":
            result[name] = _no_answer(name)
            continue
        if name == "broker" and settings.CELERY_BROKER_URL == settings.REDIS_URL:
            result[name] = result["cache"]
            continue
        try:
            result[name] = check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the dependency does not answer
            result[name] = _no_answer(name)
            log.warning("%s: %s (%s)", result[name].capitalize(), name, type(error).__name__)
    return result


def is_ready(states: Mapping[str, str]) -> bool:
    """Whether requests can be served with the dependencies in these states."""
    return all(states[name] == "ok" for name in NECESSARY)


def _no_answer(name: str) -> str:
    return "failed" if name in NECESSARY else "degraded"
