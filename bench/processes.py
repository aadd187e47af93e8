"""Programs that a run starts, and what /proc says of them: CPU and memory, with all their children."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from tests.support.server import free_port

PROJECT: Final = Path(__file__).resolve().parent.parent
TICKS: Final = os.sysconf("SC_CLK_TCK")
START: Final = 60  # seconds until a program has to answer
PR_SET_PDEATHSIG: Final = 1


class DidNotStart(Exception):
    """A program ended, or did not answer in time; the message has the end of what it wrote."""


class Program:
    """A program on a port of this machine. It ends with `stop`, and at the latest when this process is gone."""

    def __init__(self, name: str, command: list[str], port: int, log: Path, env: Mapping[str, str]) -> None:
        self.name, self.port = name, port
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that the terminal's Ctrl-C comes to us alone
                preexec_fn=_end_with_parent,
            )
        self.pid = self._process.pid

    def wait_until_it_answers(self, path: str) -> None:
        """Return with the first answer at `path`, whatever its status. Raises DidNotStart."""
        deadline = time.monotonic() + START
        while self._process.poll() is None and time.monotonic() < deadline:
            caller = HTTPConnection("127.0.0.1", self.port, timeout=START)
            try:
                caller.request("GET", path)
                caller.getresponse().read()
                return
            except (OSError, HTTPException):
                time.sleep(0.05)
            finally:
                caller.close()
        raise DidNotStart(f"{self.name} did not start: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-2000:].strip()

    def cpu(self) -> float:
        """CPU seconds of it and of all its children, those that ended included."""
        return cpu_seconds(self.pid)

    def worker_memory(self) -> float:
        """The memory of its largest child, in MB (resident set)."""
        return max((_resident(pid) for pid in _children(self.pid)), default=0.0)

    def stop(self) -> None:
        """End it and all that it started, at once: nothing of a measurement is worth waiting for."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def gunicorn(name: str, application: str, log: Path, env: Mapping[str, str], *options: str) -> Program:
    """gunicorn on a free port, as a caller configures it by `env` and `options`."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", *options]
    return Program(name, command, port, log, env)


def local_stripe(name: str, log: Path, env: Mapping[str, str]) -> Program:
    """A local Stripe that delivers no webhooks."""
    port = free_port()
    program = Program(name, [sys.executable, "-m", "local_stripe", "--port", str(port)], port, log, env)
    program.wait_until_it_answers("/_control/faults")
    return program


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its living descendants, and those that it has waited for."""
    return sum(_own_cpu(one) for one in (pid, *_descendants(pid)))


def _own_cpu(pid: int) -> float:
    try:
        # The second field, a name in brackets, may have spaces in it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it ended: by now its parent counts for it
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS  # utime, stime, cutime, cstime


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _resident(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


def _end_with_parent() -> None:
    """In the child, before the program: the kernel ends it when its parent dies, also by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
