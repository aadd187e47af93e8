"""Whether requests can be served, for load balancers, and what else does not work, for operators."""

import logging
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
