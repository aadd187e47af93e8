"""The application as a process of its own on the tests' database, for tests in which it is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from typing import IO
from urllib.parse import quote

from django.conf import settings
from django.db import connection

START = 60  # seconds


class Server:
    """gunicorn with one worker (or WEB_CONCURRENCY), talking to the Stripe at `stripe_base`. Tests that use it commit
    what they write.

    What it prints goes to `output`; `environment` is set besides that of the tests.
    """

    def __init__(
        self,
        stripe_base: str = "http://127.0.0.1:1",
        output: int | IO[bytes] = subprocess.DEVNULL,
        application: str = "voucher_project.wsgi",
        **environment: str,
    ) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", application),
                *("--bind", f"127.0.0.1:{self.port}", "--workers", environment.get("WEB_CONCURRENCY", "1")),
            ],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_URL": database_url(), "STRIPE_API_BASE": stripe_base, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,  # so that its worker can be killed with it
        )
        self._wait()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int | None:
        """The status of the answer; None if the server was killed before it answered."""
        caller = HTTPConnection("127.0.0.1", self.port, timeout=START)
        try:
            caller.request("POST", path, body, {"Content-Type": "application/json", **headers})
            return caller.getresponse().status
        except OSError:
            return None
        finally:
            caller.close()

    def terminate(self) -> None:
        """SIGTERM, as at each deployment."""
        self._process.terminate()

    def stop(self, timeout: float) -> int:
        """SIGTERM, and wait for the end. Returns the exit status."""
        self.terminate()
        return self._process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL to the server and its worker. May be called again."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START
        while not answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError("The server did not start.")
            time.sleep(0.05)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def database_url() -> str:
    """The address of the tests' database."""
    of = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{of['NAME']}"
    password = f":{quote(of['PASSWORD'], safe='')}" if of["PASSWORD"] else ""
    port = f":{of['PORT']}" if of["PORT"] else ""
    return f"postgresql://{of['USER']}{password}@{quote(of['HOST'], safe='')}{port}/{of['NAME']}"
