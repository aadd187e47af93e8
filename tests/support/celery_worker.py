"""A Celery worker as a process of its own on the tests' database, for tests of what passes through a broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import redis
from django.conf import settings

from .server import START, database_url

Result = TypeVar("Result")

OWN_DATABASE = 9  # of the tests' Redis, which keeps the cache in another


def broker_url() -> str:
    """The address of an empty broker, for one test at a time: in the tests' Redis, which has to be there."""
    url = urlsplit(settings.REDIS_URL)._replace(path=f"/{OWN_DATABASE}").geturl()
    with redis.Redis.from_url(url) as server:
        server.flushdb()
    return url


class CeleryWorker:
    """A worker with one process for tasks. What it prints goes nowhere, what it logs to LOG_FILE."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "voucher_project", "worker", "--concurrency", "1"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_URL": database_url(), **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that its processes can be killed with it
        )

    def wait_for(self, condition: Callable[[], Result], seconds: float = START) -> Result:
        """Wait until `condition()` is true, and return what it returned; AssertionError when time is up."""
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("It did not happen.")
            time.sleep(0.05)
        return result

    def kill(self) -> None:
        """SIGKILL to the worker and its processes. May be called again."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
