"""The logs: where they go, in which form, and what of other libraries stays out of them."""

from typing import Any


def logging_config(*, level: str, form: str, file: str) -> dict[str, Any]:
    """What Django is to set up. `form` is text or json; `file` is a path, or "none" for the console alone."""
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "apps.core.logs.handlers.RequestIdFilter"}},
        "formatters": {
            "text": {
                "()": "apps.core.logs.handlers.TextFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
            },
            "json": {"()": "apps.core.logs.handlers.JsonFormatter"},
        },
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": form, "filters": ["request_id"]},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["console"], "level": level},
        # Ours is the one access log: by route, not by address, which may hold a code.
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": "ERROR", "propagate": True},
            "django.request": {"level": "ERROR"},
            "django.template": {"level": "INFO"},  # its debugging lines print a page's whole context
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
            "filters": ["request_id"],
        }
        config["root"]["handlers"].append("file")
    return config
