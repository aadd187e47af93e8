"""What operators ask about the running system."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

log = logging.getLogger(__name__)


NECESSARY: Final = ("database", "migrations")


def readiness() -> dict[str, str]:
    """Each dependency's state: "ok", "pending" (migrations), "differ" (time limits of the database), "not writable" or
    "not reachable" (media), "not configured", or that it does not answer.

    Then it is "failed" where no request works without it (`NECESSARY`), and "degraded" where limits are weaker and
    jobs wait, but every request is served.
    """
    checks: dict[str, Callable[[], str]] = {
        "database": _database,
        "migrations": _migrations,
        "time_limits": time_limits,
        "media": media,
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


def time_limits() -> str:
    """Whether the database ends statements and waits of requests when the settings say; "differ" where it does not.

    Behind a pooler they are settings of the role (`manage.py prepare_database`), which may be missing or old.
    """
    if connection.vendor != "postgresql":
        return "ok"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)",
            [list(settings.DATABASE_TIME_LIMITS)],
        )
        in_force = {name: int(milliseconds) for name, milliseconds in cursor.fetchall()}
    return "ok" if in_force == settings.DATABASE_TIME_LIMITS else "differ"


def media(*, write: bool = False) -> str:
    """Whether uploads can be stored; "not writable" where the folder, or the one to make it in, can't be written.

    Of a bucket (`media_storage.py`) also "not reachable"; with `write` a file is written to it and removed.
    """
    storage: Any = default_storage
    if not isinstance(storage, FileSystemStorage):
        return str(storage.check_writing() if write else storage.state())
    folder = Path(storage.location)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return "ok" if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) else "not writable"


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
