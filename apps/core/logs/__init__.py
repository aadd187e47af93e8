"""The log: its lines and files, and what never stands in it."""

from .handlers import (
    JsonFormatter,
    QuietRotatingFileHandler,
    RequestIdFilter,
    TextFormatter,
    WithoutAddresses,
    request_id,
    route_of,
)
from .redaction import load_redactors, redact, redacting_excepthook

__all__ = [
    "JsonFormatter",
    "QuietRotatingFileHandler",
    "RequestIdFilter",
    "TextFormatter",
    "WithoutAddresses",
    "load_redactors",
    "redact",
    "redacting_excepthook",
    "request_id",
    "route_of",
]
