"""Reports of errors to Sentry, and what never goes there.

Loaded only where SENTRY_DSN is set: without it the client takes neither memory nor time. A report is composed anew, of
what is named here; whatever else the client collects (addresses, headers, bodies, variables, arguments of tasks and of
the command line) stays here. Texts are masked as those of the log are, and mail addresses and card numbers besides. Who
sent the request stands in the log, under the report's `request_id`.

The client sends in a thread of its own, out of a queue that is bounded: no request waits for Sentry.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import sentry_sdk
from django.conf import settings
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
from sentry_sdk.integrations.threading import ThreadingIntegration

from .logs import current_route, current_task, redact, request_id

# Members of a report that hold no text from outside.
_KEPT: Final = (
    "event_id",
    "timestamp",
    "platform",
    "level",
    "logger",
    "release",
    "environment",
    "server_name",
    "sdk",
)
_KEPT_OF_A_FRAME: Final = (
    "filename",
    "abs_path",
    "module",
    "function",
    "lineno",
    "pre_context",
    "context_line",
    "post_context",
    "in_app",
)
# Loggers that name requests by path, which may hold a secret in a spelling that no mask knows, or have a line for each.
_IGNORED: Final = (
    "django.request",
    "django.security.*",
    "django.server",
    "gunicorn.*",
    "apps.core.request_log",
    "apps.core.task_log",
)
_MOST_BREADCRUMBS: Final = 30

# Whatever has no blank in it and an @, also in the spelling of addresses: a mail address, or a password in an address.
_WITH_AT: Final = re.compile(r"(?<!\S)\S++")
_CARD: Final = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
# A database quotes the row that it refused, and the statement with its values.
_QUOTED_BY_DATABASE: Final = re.compile(r"\s*\n(?:DETAIL|CONTEXT|LINE \d+):.*", re.DOTALL)
_NAMES_OF_SECRETS: Final = re.compile("KEY|SECRET|TOKEN|PASSWORD")
_SHORTEST_SECRET: Final = 6  # characters: a shorter one would take the words of a report with it
_LUHN: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # a doubled digit, by the sum of its digits


def start(*, dsn: str, environment: str, release: str) -> None:
    """Report errors of this process from now on: what nothing caught, and lines of the log from ERROR on."""
    for name in _IGNORED:
        ignore_logger(name)
    # While Sentry is away it would write three lines for each report.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=release,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=_say_nothing),
            # No method is captured: it means traces, which we take none of, and each request would begin one.
            DjangoIntegration(http_methods_to_capture=(), signals_spans=False),
            CeleryIntegration(propagate_traces=False),
            DedupeIntegration(),
            ExcepthookIntegration(),
            LoggingIntegration(level=logging.INFO, event_level=logging.ERROR),
            ThreadingIntegration(),
        ],
        before_send=compose,
        before_breadcrumb=forget_data,
        max_breadcrumbs=_MOST_BREADCRUMBS,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        # Neither traces, sessions nor counts: those pass `compose` by.
        enable_tracing=False,
        propagate_traces=False,
        trace_propagation_targets=[],
        auto_session_tracking=False,
        enable_metrics=False,
        enable_logs=False,
        send_client_reports=False,
        enable_backpressure_handling=False,
        spotlight=False,
    )


def compose(event: Any, hint: Mapping[str, Any]) -> Any:
    """The report that is sent in place of `event`, by the shape of Sentry's events. Where it fails, nothing is sent."""
    task = current_task.get()
    report = {name: event[name] for name in _KEPT if name in event}
    report["tags"] = {"request_id": mask(request_id.get())}
    if task:
        report["tags"] |= {"task": task.name, "task_id": task.id}
    if place := current_route() or (task.name if task else None):
        report["transaction"] = place
    if "exception" in event:
        report["exception"] = {"values": [_exception(one) for one in _values(event["exception"])]}
    if "threads" in event:
        report["threads"] = {
            "values": [{"stacktrace": _stacktrace(one)} for one in _values(event["threads"])]
        }
    if "logentry" in event:
        texts = event["logentry"]
        report["logentry"] = {name: mask(texts[name]) for name in ("message", "formatted") if texts.get(name)}
    report["breadcrumbs"] = {"values": [_breadcrumb(one) for one in _values(event.get("breadcrumbs"))]}
    if runtime := event.get("contexts", {}).get("runtime"):
        report["contexts"] = {"runtime": runtime}
    return report


def forget_data(breadcrumb: Any, hint: Mapping[str, Any]) -> Any:
    """A line of the log that is kept for the next report, without the record's attributes.

    It is masked when it is sent, as hardly any is.
    """
    breadcrumb.pop("data", None)
    return breadcrumb


def mask(text: str) -> str:
    """The text without what the log masks, our own secrets, mail addresses, card numbers and what a database quotes."""
    text = _own_secrets().sub("***", text)
    text = _CARD.sub(_without_card, _QUOTED_BY_DATABASE.sub(" …", text))
    if "@" in text or "%40" in text:
        text = _WITH_AT.sub(_without_address, text)
    return redact(text)


@lru_cache(maxsize=1)
def _own_secrets() -> re.Pattern[str]:
    """Each secret of the settings, whatever it looks like: a library may name the one that it could not use."""
    secrets = {secret for secret in _secrets() if len(secret) >= _SHORTEST_SECRET}
    spellings = {spelling for secret in secrets for spelling in (secret, repr(secret)[1:-1])}
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _secrets() -> Iterator[str]:
    for name in dir(settings):
        if name.isupper() and _NAMES_OF_SECRETS.search(name):
            value = getattr(settings, name)
            values = value if isinstance(value, list | tuple) else [value]
            yield from (one for one in values if isinstance(one, str))
    for database in (*settings.DATABASES.values(), settings.DATABASE_DIRECT):
        yield str(database.get("PASSWORD") or "")
    for address in (settings.REDIS_URL, settings.CELERY_BROKER_URL, settings.CELERY_RESULT_BACKEND):
        password = urlsplit(address or "").password or ""
        yield from (password, unquote(password))


def _without_address(match: re.Match[str]) -> str:
    return "***" if "@" in match[0] or "%40" in match[0] else match[0]


def _without_card(match: re.Match[str]) -> str:
    digits = [int(character) for character in reversed(match[0]) if character.isdecimal()]
    total = sum(_LUHN[digit] if place % 2 else digit for place, digit in enumerate(digits))
    return match[0] if total % 10 else "***"


def _values(member: Any) -> Iterable[Any]:
    """The rows of a member that is either a list or an object with `values`."""
    rows = member.get("values") if isinstance(member, dict) else member
    return [row for row in rows or () if isinstance(row, dict)]


def _exception(one: Mapping[str, Any]) -> dict[str, Any]:
    mechanism = {
        name: value for name, value in (one.get("mechanism") or {}).items() if name not in ("data", "meta")
    }
    return {
        "type": one.get("type"),
        "module": one.get("module"),
        "value": mask(one.get("value") or ""),
        "mechanism": mechanism,
        "stacktrace": _stacktrace(one),
    }


def _stacktrace(one: Mapping[str, Any]) -> dict[str, Any]:
    """Names, numbers and lines of the source: without variables, so with nothing from outside."""
    frames = (one.get("stacktrace") or {}).get("frames") or ()
    return {"frames": [{name: frame[name] for name in _KEPT_OF_A_FRAME if name in frame} for frame in frames]}


def _breadcrumb(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: one[name] for name in ("timestamp", "type", "level", "category") if name in one}
    return kept | {"message": mask(one.get("message") or "")}


def _say_nothing(pending: int, timeout: float) -> None:
    """In place of the client's words on the console when a process ends."""
