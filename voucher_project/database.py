"""How the app speaks with its database: what waits, and for how long."""

from collections.abc import Mapping
from typing import Any


def connection_options(
    database: Mapping[str, Any], *, statement_timeout_ms: int, lock_timeout_ms: int
) -> dict[str, Any]:
    """What is to be added to the settings of `database`, by its engine."""
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN: two writers queue for up to `timeout` seconds instead of failing.
        return {
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            }
        }
    return {
        "ENGINE": "voucher_project.postgresql",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **database.get("OPTIONS", {}),
            "connect_timeout": 3,
            "keepalives_idle": 30,
            "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={lock_timeout_ms}"
            " -c idle_in_transaction_session_timeout=10000",
        },
    }
