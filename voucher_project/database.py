"""How the app speaks with its database: what waits, and for how long."""

from collections.abc import Mapping
from typing import Any, Final

# Milliseconds after which PostgreSQL ends a transaction that does nothing: it holds locks, and keeps old rows.
IDLE_IN_TRANSACTION_MS: Final = 10_000


def time_limits(*, statement_ms: int, lock_ms: int) -> dict[str, int]:
    """PostgreSQL's settings that bound how long a request waits, in milliseconds."""
    return {
        "statement_timeout": statement_ms,
        "lock_timeout": lock_ms,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
    }


def connection_options(
    database: Mapping[str, Any], *, limits: Mapping[str, int], pooled: bool = False
) -> dict[str, Any]:
    """What is to be added to the settings of `database`, by its engine.

    `limits` are those of `time_limits`. `pooled`: a pooler that hands out a connection for a transaction stands
    before PostgreSQL. It passes no start-up options on, so that the limits have to be those of the role
    (`manage.py prepare_database`), and what belongs to a session must not be used (`postgresql/base.py`).
    """
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN: two writers queue for up to `timeout` seconds instead of failing.
        return {
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            }
        }
    options = {**database.get("OPTIONS", {}), "connect_timeout": 3, "keepalives_idle": 30}
    if not pooled:
        options["options"] = " ".join(f"-c {name}={value}" for name, value in limits.items())
    return {
        "ENGINE": "voucher_project.postgresql",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "POOLED": pooled,
        "OPTIONS": options,
    }
