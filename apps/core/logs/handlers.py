"""Log lines: where each belongs to, nothing secret in any, JSON on demand, and a file that never fails."""

import json
import logging
import logging.handlers
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from .context import current_task, request_id, route_of
from .redaction import load_redactors, redact

# Members of a JSON line that only this package and `request_log.py` fill in, with words of ours: nothing to mask.
_OWN_WORDS: Final = frozenset(
    {"time", "level", "logger", "method", "route", "network", "task", "task_id", "outcome"}
)


# Other controls than a tab: what would end a line, or have a terminal that shows it do something.
_CONTROLS: Final = {
    number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if number != 9
} | {
    ord("\n"): r"\n",
    ord("\r"): r"\r",
    0x2028: r"\u2028",
    0x2029: r"\u2029",
}


class ContextFilter(logging.Filter):
    """Adds to each record the `request_id` ("-" outside a request), the `task` (None outside one) and both as one text,
    `origin`; and names requests by route.

    Django's own lines name them by path, which may hold a secret in a spelling that no pattern knows.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        identifier, task = request_id.get(), current_task.get()
        record.request_id, record.task = identifier, task
        record.origin = f"{identifier} {task.name} {task.id}" if task else identifier
        names_a_path = record.name.startswith(("django.request", "django.security")) and record.args
        if names_a_path and hasattr(record, "request") and isinstance(record.args, tuple):
            record.args = (*record.args[:-1], route_of(record.request))
        return True


class WithoutAddresses(logging.Filter):
    """For gunicorn's own lines: cuts off what a request said of itself, which may be a piece of a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Invalid request from ip="):
            record.msg, record.args = message.partition(": ")[0], ()
        elif message.startswith("Error handling request"):
            record.msg, record.args = "Error handling request", ()
        return True


class OnceFormatter(logging.Formatter):
    """Formats and masks a record once: console and file get the same line, and the file asks for its length before.

    `redactors` are dotted paths, for a process that may have no settings of Django; None: those of the settings.
    """

    def __init__(self, *arguments: Any, redactors: Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.redactors = None if redactors is None else load_redactors(tuple(redactors))

    def format(self, record: logging.LogRecord) -> str:
        attributes = vars(record)
        if attributes.get("formatted_by") is not self:
            attributes |= {"formatted_by": self, "formatted": self.line(record)}
        return str(attributes["formatted"])

    def line(self, record: logging.LogRecord) -> str:
        """The line of a record, without secrets."""
        raise NotImplementedError


def _is_redacted(record: logging.LogRecord) -> bool:
    """Whether a record says of itself that it has nothing to mask (`extra={"is_redacted": True}`)."""
    return "is_redacted" in vars(record)


class TextFormatter(OnceFormatter):
    """A line for people, without secrets; after it, if any, the exception."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """On one line, so that nothing that somebody sent looks like a line of ours."""
        return super().formatMessage(record).translate(_CONTROLS)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """Indented, for the same reason: an exception may say what somebody sent."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {line.translate(_CONTROLS)}" for line in lines)

    def line(self, record: logging.LogRecord) -> str:
        line = logging.Formatter.format(self, record)
        return line if _is_redacted(record) else redact(line, self.redactors)


class JsonFormatter(OnceFormatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, request_id, message; in a task `task` and `task_id`;
    the members of the record's `fields` (`extra={"fields": …}`: texts, numbers, None); and, if any, `exception`."""

    def line(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if task := getattr(record, "task", None):
            line |= {"task": task.name, "task_id": task.id}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if not _is_redacted(record):
            for name, value in line.items():
                if name not in _OWN_WORDS and isinstance(value, str):
                    line[name] = redact(value, self.redactors)
        return json.dumps(line)


class QuietRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """A log file that may be missing, unwritable or on a full disk: the console still has every line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: a log that can't be written must not fail the request that wrote it."""
