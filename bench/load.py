"""The load tool, `wrk`: a closed loop of so many connections for so many seconds, and what it measured."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .machine import Machine
from .opponents import Opponent

SCRIPT: Final = Path(__file__).with_name("load.lua")
ANSWER_WITHIN: Final = 120  # seconds; the textbook counts a million rows for some answers
INSTALL: Final = "wrk is missing: apt-get install wrk (or: brew install wrk; https://github.com/wg/wrk)."


class LoadFailed(Exception):
    """A load that measured nothing: refused or broken requests, or the tool failed."""


@dataclass(frozen=True)
class Load:
    """How a scenario is driven."""

    connections: int = 8
    seconds: int = 3
    keep_alive: bool = True


@dataclass(frozen=True)
class Sample:
    """One run of one scenario against one opponent."""

    requests: int  # answered within the time
    seconds: float
    p50_ms: float
    p99_ms: float
    bytes_per_answer: float  # with its header
    web_ms: float  # CPU of the web processes per request
    postgres_ms: float  # CPU of PostgreSQL per request
    statements: float  # that PostgreSQL was sent per request, BEGIN and COMMIT among them
    sent: int = 0  # also those whose answer nobody waited for

    @property
    def rps(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU of web processes and PostgreSQL per request."""
        return self.web_ms + self.postgres_ms


@dataclass(frozen=True)
class WrkOutput:
    """The line that load.lua prints."""

    requests: int
    issued: int
    seconds: float
    bytes: int
    p50_ms: float
    p99_ms: float
    refused: int  # answers of 400 and above
    broken: int  # connections that ended before the answer
    timeouts: int


def require_wrk() -> None:
    """End the program with one line if the load tool is missing."""
    if shutil.which("wrk") is None:
        print(INSTALL, file=sys.stderr)
        sys.exit(2)


def parse(output: str) -> WrkOutput:
    """Read what wrk printed. Raises LoadFailed if the line of load.lua is not in it."""
    line = next((line for line in reversed(output.splitlines()) if line.startswith("{")), None)
    if line is None:
        raise LoadFailed(f"wrk measured nothing: {output.strip()[-500:]}")
    return WrkOutput(**json.loads(line))


def drive(port: int, requests: Sequence[bytes], load: Load, folder: Path) -> WrkOutput:
    """Send these requests in turn for the time of the load. Raises LoadFailed where any was not answered well."""
    if not requests:
        raise LoadFailed("There is nothing left to send.")
    file = folder / "requests"
    file.write_bytes(b"\0".join(requests))
    command = ["wrk", "--threads", "1", "--connections", str(load.connections)]
    command += ["--duration", f"{load.seconds}s", "--timeout", f"{ANSWER_WITHIN}s", "--script", str(SCRIPT)]
    command += [f"http://127.0.0.1:{port}/", "--", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=load.seconds + ANSWER_WITHIN + 10
    )
    output = parse(done.stdout + done.stderr)
    if output.refused or output.timeouts or output.broken or not output.requests:
        raise LoadFailed(
            f"{output.requests} answers, of them {output.refused} refused; {output.broken} connections broken,"
            f" {output.timeouts} timeouts"
        )
    return output


def measure(
    machine: Machine, opponent: Opponent, requests: Sequence[bytes], load: Load, *, once: bool
) -> Sample:
    """Drive the load, and divide what it took by the requests.

    `once` says that no request may be sent twice: raises LoadFailed where there were too few of them.
    """
    statements = machine.statements(opponent.database)
    web, postgres = opponent.server.cpu(), machine.postgres_cpu()
    output = drive(opponent.server.port, requests, load, machine.home)
    _wait_until_idle(machine, opponent)
    web, postgres = opponent.server.cpu() - web, machine.postgres_cpu() - postgres
    if once and output.issued > len(requests):
        raise LoadFailed(f"{len(requests)} requests were too few for {load.seconds} seconds.")
    # All that were issued were worked on, also those that wrk no longer waited for.
    number = max(output.issued, output.requests)
    return Sample(
        requests=output.requests,
        seconds=output.seconds,
        p50_ms=output.p50_ms,
        p99_ms=output.p99_ms,
        bytes_per_answer=output.bytes / output.requests,
        web_ms=web * 1000 / number,
        postgres_ms=postgres * 1000 / number,
        statements=(machine.statements(opponent.database) - statements) / number,
        sent=number,
    )


def _wait_until_idle(machine: Machine, opponent: Opponent) -> None:
    """Return when neither the application nor its database works on anything any more, or after a minute.

    Also the database: it goes on with the query of a request that nobody waits for any longer, while the application
    only waits. What is measured next would share the processors with it.
    """

    def cpu() -> float:
        return opponent.server.cpu() + machine.postgres_cpu()

    deadline = time.monotonic() + 60
    before = cpu()
    while time.monotonic() < deadline:
        time.sleep(0.1)
        now = cpu()
        if now - before < 0.02:
            return
        before = now
