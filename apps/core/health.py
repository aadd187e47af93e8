"""What operators ask about the running system."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

log = logging.getLogger(__name__)


NECESSARY: Final = ("database", "migrations")


def readiness() -> dict[str, str]:
    """Each dependency's state: "ok", "pending" (migrations), "not configured", or that it does not answer.

    Then it is "failed" where no request works without it (`NECESSARY`), and "degraded" where limits are weaker and
    jobs wait, but every request is served.
    """
    checks: dict[str, Callable[[], str]] = {
        "database": _database,
        "migrations": _migrations,
        "cache": _cache,
        "broker": _broker,
    }
    states = {}
    for name, check in checks.items():
        try:
            states[name] = check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the dependency does not answer
            states[name] = "failed" if name in NECESSARY else "degraded"
            log.warning("%s: %s (%s)", states[name].capitalize(), name, type(error).__name__)
    return states


def is_ready(states: Mapping[str, str]) -> bool:
    """Whether requests can be served with the dependencies in these states, as `readiness` gives them."""
    return all(states[name] == "ok" for name in NECESSARY)


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    return "pending" if executor.migration_plan(executor.loader.graph.leaf_nodes()) else "ok"


def _cache() -> str:
    if not settings.REDIS_URL:
        return "not configured"
    return _ping(settings.REDIS_URL)


def _broker() -> str:
    if not settings.CELERY_BROKER_URL:
        return "not configured"
    return _ping(settings.CELERY_BROKER_URL)


def _ping(url: str) -> str:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    patience = {"socket_timeout": 0.4, "socket_connect_timeout": 0.4, "retry": Retry(NoBackoff(), 0)}
    with redis.Redis.from_url(url, **patience) as client:
        client.ping()
    return "ok"
