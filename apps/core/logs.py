"""Log lines: the request's id on each, nothing secret in any, JSON on demand, and a file that never fails."""

import json
import logging
import logging.handlers
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="-")


# Whatever the message comes from, Django's own "Not Found: /path", a driver's error or ours.
SECRETS = (
    # A voucher code but for its last four symbols, in one piece or in groups of four. A UUID is neither.
    re.compile(r"(?<![0-9A-Za-z])[2-9A-HJKMNP-Z]{12}(?=[2-9A-HJKMNP-Z]{4}(?![0-9A-Za-z]))", re.I),
    re.compile(
        r"(?<![0-9A-Za-z])(?:[2-9A-HJKMNP-Z]{4}(?:-|\s|%20|\+)){3}(?=[2-9A-HJKMNP-Z]{4}(?![0-9A-Za-z]))", re.I
    ),
    re.compile(r"(?<=_secret_)\w+"),
    re.compile(r"(?<=\b[sr]k_)(?:test|live)_\w+"),
    re.compile(r"(?<=\bwhsec_)\w+"),
    re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"),
)


def without_secrets(text: str) -> str:
    """The text with voucher codes (but for their last four symbols), keys and tokens masked."""
    for pattern in SECRETS:
        text = pattern.sub("***", text)
    return text


def route_of(request: Any) -> str:
    """The pattern of the request's address, without what stands in its places."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else "(no route)"


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to each record ("-" outside a request), and names requests by route.

    Django's own lines name them by path, which may hold a voucher code in a spelling that no pattern knows.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        if record.name == "django.request" and hasattr(record, "request") and isinstance(record.args, tuple):
            record.args = (*record.args[:-1], route_of(record.request))
        return True


class WithoutAddresses(logging.Filter):
    """For gunicorn's own lines: cuts off what a request said of itself, which may be a piece of a code."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Invalid request from ip="):
            record.msg, record.args = message.partition(": ")[0], ()
        elif message.startswith("Error handling request"):
            record.msg, record.args = "Error handling request", ()
        return True


class TextFormatter(logging.Formatter):
    """A line for people, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, request_id, message and, if any, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(line))


class QuietRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """A log file that may be missing, unwritable or on a full disk: the console still has every line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: a log that can't be written must not fail the request that wrote it."""
