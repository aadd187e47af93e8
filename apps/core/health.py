"""Whether each thing that the application depends on works: a word for each, or an exception.

The word is "ok", "pending" (migrations), "differ" (time limits of the database), "not writable" or "not reachable"
(media), or "not configured".
"""

import os
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

PATIENCE: Final = 0.4  # seconds for Redis to be connected to, and again to answer

_applied: frozenset[tuple[str, str]] = frozenset()  # the migrations with which none was pending


def database() -> str:
    """Whether the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def migrations() -> str:
    """Whether the tables are those of this version; "pending" where some migration has not run."""
    global _applied
    applied = frozenset(MigrationRecorder(connection).applied_migrations())
    if _applied and _applied <= applied:  # what was enough for this version's files is enough still
        return "ok"
    executor = MigrationExecutor(connection)  # reads all files: a tenth of a second
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return "pending"
    _applied = applied
    return "ok"


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


def cache() -> str:
    """Whether Redis answers for the cache and the limits."""
    return _redis(settings.REDIS_URL)


def broker() -> str:
    """Whether Redis answers for the jobs."""
    return _redis(settings.CELERY_BROKER_URL)


def redis_client(url: str) -> Any:
    """A client of a Redis that waits for no more than moments: not to be kept, and to be closed."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )


def _redis(url: str) -> str:
    if not url:
        return "not configured"
    with redis_client(url) as client:
        client.ping()
    return "ok"
