"""The logs: where they go, in which form, what is masked, what of other libraries stays out; and reports of errors."""

from pathlib import Path
from typing import Any, Final

from .environment import count, one_of, read, sentry_dsn

# What finds secrets in log lines, by dotted path: the setting of this name. gunicorn's main process has no settings,
# and a command must mask its traceback also where they can't be read: both have it from here.
LOG_REDACTORS: Final = ("apps.vouchers.code_redaction.code_spans",)


def log_form() -> str:
    """The form of log lines, "text" or "json". Raises ImproperlyConfigured."""
    form: str = read("LOG_FORM", "text", cast=one_of("text", "json"))
    return form


def read_logging(file: Path) -> dict[str, Any]:
    """LOGGING by the variables LOG_LEVEL, LOG_FORM and LOG_FILE, whose default is `file`.

    Raises ImproperlyConfigured.
    """
    return logging_config(
        level=read("LOG_LEVEL", "INFO", cast=one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
        form=log_form(),
        file=read("LOG_FILE", str(file)),
    )


def slow_limits() -> tuple[int, int]:
    """From how many milliseconds on a request and a query are warned of; 0 for never. Raises ImproperlyConfigured."""
    return read("SLOW_REQUEST_MS", 1000, cast=count), read("SLOW_QUERY_MS", 500, cast=count)


def read_sentry(version: str) -> dict[str, str]:
    """Where errors are reported, by what name of this place and of the release; empty where SENTRY_DSN is not set.

    Raises ImproperlyConfigured.
    """
    dsn = read("SENTRY_DSN", cast=sentry_dsn)
    environment, release = (
        read("SENTRY_ENVIRONMENT", "production"),
        read("SENTRY_RELEASE", f"voucher-app@{version}"),
    )
    return {"dsn": dsn, "environment": environment, "release": release} if dsn else {}


def logging_config(*, level: str, form: str, file: str) -> dict[str, Any]:
    """What Django is to set up. `form` is text or json; `file` is a path, or "none" for the console alone."""
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": "apps.core.logs.handlers.ContextFilter"}},
        "formatters": {
            "text": {
                "()": "apps.core.logs.handlers.TextFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s [%(origin)s] %(message)s",
            },
            "json": {"()": "apps.core.logs.handlers.JsonFormatter"},
        },
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": form, "filters": ["context"]},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["console"], "level": level},
        # Ours is the one access log: by route, not by address, which may hold a code.
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": "ERROR", "propagate": True},
            "django.request": {"level": "ERROR"},
            "django.template": {"level": "INFO"},  # its debugging lines print a page's whole context
            # Of each task it says when it came and how it went: so do we (core/task_log.py), by the request's id.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "stripe": {"level": "WARNING"},
            "post_office": {"handlers": ["nowhere"], "level": "WARNING"},  # it would add a handler of its own
        },
    }
    if file != "none":
        config["handlers"]["file"] = {
            "class": "apps.core.logs.handlers.QuietRotatingFileHandler",
            "filename": file,
            "maxBytes": 10 * 1024 * 1024,
            "backupCount": 5,
            "delay": True,
            "formatter": form,
            "filters": ["context"],
        }
        config["root"]["handlers"].append("file")
    return config
