"""What a web process says of its configuration when it begins."""

import logging

from django.conf import settings
from django.core.checks import Tags, run_checks
from django.db import DatabaseError, connection

from . import checks, health

log = logging.getLogger(__name__)


def log_configuration() -> None:
    """Log whom the limits take for a client, each warning that need not stop a start, and time limits of the database
    that are not in force: gunicorn runs no system checks."""
    if proxies := settings.TRUSTED_PROXY_COUNT:
        log.info(
            "TRUSTED_PROXY_COUNT is %d: a client is entry %d from the end of X-Forwarded-For. "
            "/api/health/ready/ shows to staff whom they are taken for.",
            proxies,
            proxies,
        )
    else:
        log.info("TRUSTED_PROXY_COUNT is 0: a client is the address of its connection.")
    deployed = [] if settings.DEBUG else run_checks(tags=[checks.AT_START], include_deployment_checks=True)
    for message in [*run_checks(tags=[Tags.security]), *deployed]:
        log.log(message.level, "%s %s", message.msg, message.hint or "")
    if settings.DATABASE_POOLED:
        _warn_of_missing_time_limits()


def _warn_of_missing_time_limits() -> None:
    """Behind a pooler they are settings of the role, which somebody has to make."""
    try:
        in_force = health.time_limits() == "ok"
    except DatabaseError:  # the server starts all the same, and its health checks say so
        return
    finally:
        connection.close()  # requests are served by other threads, each on a connection of its own
    if not in_force:
        log.warning(
            "The database's time limits are not those of the settings: run manage.py prepare_database"
        )
