"""gunicorn, the web server of production: `gunicorn voucher_project.wsgi` reads this file.

Of the environment: PORT (8000), WEB_HOST (127.0.0.1), WEB_CONCURRENCY (2 processes), and in each process
WEB_FAST_THREADS (1: fast requests at once) and WEB_THREADS (8: others at once, and threads for fast ones at most).
"""

import contextlib
import ctypes
import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from apps.core.metrics import folder
from voucher_project.environment import port, positive_count, read
from voucher_project.logging_config import LOG_REDACTORS, log_form


def number(name: str, default: int, cast: Any = positive_count) -> int:
    """A number of the environment; one line, and the end, for any other value."""
    try:
        return int(read(name, default, cast=cast))
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None


# To this machine alone: a buffering proxy stands before it (docs/operations.md). In a container, and on platforms whose
# proxy comes from another machine, WEB_HOST is 0.0.0.0.
bind = f"{os.environ.get('WEB_HOST', '127.0.0.1')}:{number('PORT', 8000, port)}"
workers = number("WEB_CONCURRENCY", 2)
# A process has a thread for fast requests and a pool of threads for the others (web_lanes.py): a Stripe that hangs
# holds a thread of the pool, not the whole API. A slow client holds none.
number("WEB_FAST_THREADS", 1)  # which the worker reads
worker_class = "voucher_project.web_worker.BufferingThreadWorker"
threads = number("WEB_THREADS", 8)

# Ends a process that is stuck. It doesn't end a stuck request of a thread: the deadlines of Stripe's calls
# (apps/payments/stripe_http.py) and of the database do.
timeout = 30
graceful_timeout = 30

# A process is renewed after so many requests, not all at once: on a busy day some times an hour.
max_requests = 200_000
max_requests_jitter = 20_000

if os.path.isdir("/dev/shm"):  # noqa: S108 - heartbeats in memory, not on a slow disk
    worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True
forwarder_headers = ""  # no client, and no proxy of ours, says SCRIPT_NAME or PATH_INFO

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h of glibc


def post_fork(server: Any, worker: Any) -> None:
    """Have memory given back to the system when it is freed, as far as glibc does.

    Hashing a password takes 19 MB for an instant. After the first such block glibc keeps later ones of its own accord,
    in each thread: a process that signed people in would grow by a hundred MB. And each thread keeps what the largest
    answer of the database took in it, if it does not share an arena with the others. Other systems have no such call.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 1024 * 1024)
        if "MALLOC_ARENA_MAX" not in os.environ:
            mallopt(M_ARENA_MAX, 2)


def on_starting(server: Any) -> None:
    """Create the folder in which the processes count for /metrics, before there are any."""
    server.metrics_folder = folder.create()


def child_exit(server: Any, worker: Any) -> None:
    """Keep what a process counted that has ended."""
    folder.add_ended(server.metrics_folder, worker.pid)


def on_exit(server: Any) -> None:
    """Remove the folder of the metrics."""
    folder.remove(server.metrics_folder)


# gunicorn's own lines go through our formatters, which mask voucher codes: a garbled request line may hold one.
try:
    form = log_form()
except ImproperlyConfigured:  # the application says so, in a line, when it starts
    form = "text"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "apps.core.logs.handlers.TextFormatter",
            "redactors": LOG_REDACTORS,
            "format": "%(asctime)s %(levelname)s %(name)s [%(process)d] %(message)s",
        },
        "json": {"()": "apps.core.logs.handlers.JsonFormatter", "redactors": LOG_REDACTORS},
    },
    "filters": {"addresses": {"()": "apps.core.logs.handlers.WithoutAddresses"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": form, "filters": ["addresses"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "gunicorn.error": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "gunicorn.access": {"handlers": [], "propagate": False},
    },
}
