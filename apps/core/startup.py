"""What a web process says of its configuration when it begins."""

import logging

from django.conf import settings
from django.core.checks import Tags, run_checks

log = logging.getLogger(__name__)


def log_configuration() -> None:
    """Log whom the limits take for a client, and each warning about security: gunicorn runs no system checks."""
    if proxies := settings.TRUSTED_PROXY_COUNT:
        log.info(
            "TRUSTED_PROXY_COUNT is %d: a client is entry %d from the end of X-Forwarded-For. "
            "/api/health/ready/ shows to staff whom they are taken for.",
            proxies,
            proxies,
        )
    else:
        log.info("TRUSTED_PROXY_COUNT is 0: a client is the address of its connection.")
    for message in run_checks(tags=[Tags.security]):
        log.log(message.level, "%s %s", message.msg, message.hint or "")
