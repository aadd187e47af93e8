"""The processes of the demo: the local Stripe, and the web server, which begins anew after an edit."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection

from apps.payments import local_stripe_import

HOST: Final = "127.0.0.1"
EDITED: Final = 3  # the exit status of a server that wants to begin anew (django.utils.autoreload)
PATIENCE: Final = 5.0  # seconds for which a process that is to end may take its time
START: Final = 60.0  # seconds for which the local Stripe may take to start

_RELOADED: Final = {"RUN_MAIN": "true", "DJANGO_RUNSERVER_HIDE_WARNING": "true"}  # Django's own variables


def check_free(port: int, option: str, advice: str) -> None:
    """Raise CommandError unless this process may take `port`.

    It names the option, and gives advice, in which "{}" is a port that is free.
    """
    if not 1 <= port <= 65535:
        raise CommandError(f"{port} is no port: {option} is 1 to 65535.")
    if not _is_free(port):
        other = next((number for number in range(max(port, 1024) + 1, 65536) if _is_free(number)), 0)
        raise CommandError(
            f"Port {port} is taken, or not ours to take. Choose another: {advice.format(other)}"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def local_stripe(
    port: int, webhook_url: str, say: Callable[[str], object]
) -> Iterator["subprocess.Popen[bytes]"]:
    """The local Stripe at a port, with its file beside the database; it knows all payments of the books. Its process.

    It ends when its input closes, at the latest with this process. What a person should know is said. Raises
    CommandError if it does not start; why, it has written itself.
    """
    if dropped := local_stripe_import.drop_state_of_another_database():
        say(f"The local Stripe begins anew: its file was of another database, and is now {dropped}.")
    connection.close()  # so that a SQLite file is free, and no connection of a server idles
    command = [sys.executable, "-m", "local_stripe", "--port", str(port), "--exit-with-stdin"]
    command += ["--state-file", str(local_stripe_import.state_file())]
    command += ["--webhook-url", webhook_url, "--webhook-secret", settings.STRIPE_WEBHOOK_SECRETS[0]]
    # A session of its own, so that the terminal's Ctrl-C comes to us alone.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        start_new_session=True,
    )
    assert process.stdin
    try:
        if not _wait_for(process, port, START):
            raise CommandError("The local Stripe did not start.")
        try:
            local_stripe_import.import_payments(address_of(port))
        except local_stripe_import.LocalStripeAway as error:
            say(f"The local Stripe does not know all payments of the books: {error}.")
        connection.close()
        yield process
    finally:
        process.stdin.close()
        _wait_or_kill(process)


def address_of(port: int) -> str:
    """The address of what listens at a port of this machine."""
    return f"http://{HOST}:{port}"


def serve(port: int, environment: Mapping[str, str], on_ready: Callable[[], object]) -> int:
    """Serve the application, anew after each edit, until it ends; the exit status.

    `on_ready` is called once, when it answers for the first time.
    """
    alive, ours = os.pipe()
    with open(alive, "rb"), open(ours, "wb"):
        command = [sys.executable, "-m", "apps.payments.management.demo_server", str(alive), f"{HOST}:{port}"]
        return run_anew(command, port, {**environment, **_RELOADED}, on_ready, pass_fds=(alive,))


def run_anew(
    command: Sequence[str],
    port: int,
    environment: Mapping[str, str],
    on_ready: Callable[[], object],
    *,
    pass_fds: tuple[int, ...] = (),
) -> int:
    """Run a server, again whenever it ends with EDITED; any other exit status is the answer.

    It ends when this is left, also by an exception.
    """
    ready = False
    while True:
        # In our process group: it reads what is typed at a breakpoint, and the terminal's Ctrl-C comes to it, too.
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env={**os.environ, **environment}, pass_fds=pass_fds
        )
        try:
            if not ready and _wait_for(process, port):
                ready = True
                on_ready()
            status = process.wait()
        finally:
            process.terminate()
            _wait_or_kill(process)
        if status != EDITED:
            return status


def _wait_for(process: "subprocess.Popen[bytes]", port: int, seconds: float = float("inf")) -> bool:
    """Wait until somebody listens on the port; False if the process has ended before, or that takes too long."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return True
        time.sleep(0.05)
    return False


def _wait_or_kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
