"""The log: its lines and files, and what never stands in it."""

from .context import current_route, current_task, enter_request, request_id, route_of
from .handlers import ContextFilter, JsonFormatter, QuietRotatingFileHandler, TextFormatter, WithoutAddresses
from .redaction import load_redactors, log_thread_exception, redact, redacting_excepthook

__all__ = [
    "ContextFilter",
    "JsonFormatter",
    "QuietRotatingFileHandler",
    "TextFormatter",
    "WithoutAddresses",
    "current_route",
    "current_task",
    "enter_request",
    "load_redactors",
    "log_thread_exception",
    "redact",
    "redacting_excepthook",
    "request_id",
    "route_of",
]
