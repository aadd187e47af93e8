"""Log lines: the request's id on each, nothing secret in any, JSON on demand, and a file that never fails."""

import json
import logging
import logging.handlers
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

request_id: ContextVar[str] = ContextVar("request_id", default="-")


# The symbols of a voucher code, what may stand between them (also as an encoding writes it), and where it may begin.
SYMBOLS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_SYMBOL: Final = "[2-9A-HJKMNP-Z]"
_BLANK: Final = r"(?:[\s\-+_.]|[^\x00-\x7f]|%[0-9A-F]{2}|\\u[0-9A-F]{4}|\\x[0-9A-F]{2}|\\[nrt])"
_START: Final = r"(?:(?<![0-9A-Z])|(?<=%[0-9A-F]{2})|(?<=\\u[0-9A-F]{4})|(?<=\\x[0-9A-F]{2})|(?<=\\[nrt]))"
_WIDE: Final = {
    code + 0xFEE0: code for code in range(ord("!"), ord("~") + 1)
}  # letters as East Asian keyboards have them
LONGEST: Final = 20_000
_STRETCH: Final = 1000  # the longest spelling of a code
_END: Final = "(?![0-9A-Z])"
# As many as the application reads in a code, and taken for good: what somebody sends must not keep a process busy.
_FEW: Final = "{1,100}+"

# A voucher code but for its last four symbols, in one piece or in groups of four, where a typing mistake is still a
# secret. Within a lookahead, so that words before a code don't use up its groups. A UUID is neither.
_CODES: Final = (
    re.compile(rf"{_START}(?=({_SYMBOL}{{12}}){_SYMBOL}{{4}}{_END})", re.I | re.A),
    re.compile(rf"{_START}(?=((?:{_SYMBOL}{{4}}{_BLANK}{_FEW}){{3}}){_SYMBOL}{{4}}{_END})", re.I | re.A),
)
# In any other grouping, which the application reads as well. No part of a UUID.
_SCATTERED: Final = re.compile(
    rf"{_START}(?<![0-9A-Z]-)(?=((?:{_SYMBOL}(?:{_BLANK}{_FEW})?+){{12}})"
    rf"({_SYMBOL}(?:(?:{_BLANK}{_FEW})?+{_SYMBOL}){{3}})(?!-?[0-9A-Z]))",
    re.I | re.A,
)
_KEYS_AND_TOKENS: Final = (
    re.compile(r"(?<=_secret_)\w+"),
    re.compile(r"(?<=\b[sr]k_)(?:test|live)_\w+"),
    re.compile(r"(?<=\bwhsec_)\w+"),
    re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w-]++\.[\w-]*+"),
)


def without_secrets(text: str) -> str:
    """The text with voucher codes (but for their last four symbols), keys and tokens masked; the middle of a very long
    one is left out.

    Whatever the message comes from, Django's own "Not Found: /path", a driver's error or ours.
    """
    if len(text) > LONGEST:
        # What a cut made of a code is no code any more: it goes too.
        first, last = (without_secrets(part) for part in (text[: LONGEST // 2], text[-LONGEST // 2 :]))
        return f"{first[:-_STRETCH]}… ({len(text)} characters) …{last[_STRETCH:]}"
    for pattern in _KEYS_AND_TOKENS:
        text = pattern.sub("***", text)
    narrow = text.translate(_WIDE)
    spans = [found.span(1) for pattern in _CODES for found in pattern.finditer(narrow)]
    spans += [
        found.span(1) for found in _SCATTERED.finditer(narrow) if _has_check_symbol(found[1] + found[2])
    ]
    masked, done = "", 0
    for start, end in sorted(spans):
        if start >= done:
            masked += text[done:start] + "***"
        done = max(done, end)
    return masked + text[done:]


def _has_check_symbol(scattered: str) -> bool:
    """Whether these are the symbols of a code (see vouchers/codes.py), and not words with as many letters."""
    symbols = re.sub(_BLANK, "", scattered, flags=re.I | re.A).upper()
    return sum(place * SYMBOLS.index(symbol) for place, symbol in enumerate(symbols, start=1)) % 31 == 0


def print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As sys.excepthook: a traceback without secrets, for a command that nothing else catches.

    A database tells the row that it refused, and so the code in it.
    """
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))


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
        names_a_path = record.name.startswith(("django.request", "django.security")) and record.args
        if names_a_path and hasattr(record, "request") and isinstance(record.args, tuple):
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
        return json.dumps({name: without_secrets(value) for name, value in line.items()})


class QuietRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """A log file that may be missing, unwritable or on a full disk: the console still has every line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: a log that can't be written must not fail the request that wrote it."""
