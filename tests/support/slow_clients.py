"""Clients that take their time, to hold a server up."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

HEADER = b"POST /api/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


class SlowClients:
    """So many connections of one kind, open while the block runs; each that the server closes is made anew.

    `kind` is one of KINDS. A byte goes out twice a second where something goes out at all.
    """

    KINDS = ("silent", "three bytes", "slow header", "slow body", "slow chunks")

    def __init__(self, kind: str, port: int, number: int) -> None:
        self._beginning, self._rest = {
            "silent": (b"", b""),
            "three bytes": (b"GET", b""),
            "slow header": (HEADER + b"X-Slow: ", b"a"),
            "slow body": (HEADER + b"Content-Length: 100000\r\n\r\n{", b" "),
            "slow chunks": (HEADER + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        }[kind]
        self._port = port
        self._over = threading.Event()
        self._connected = [threading.Event() for _ in range(number)]
        self._threads = [
            threading.Thread(target=self._hold, args=(one.set,), daemon=True) for one in self._connected
        ]

    def __enter__(self) -> "SlowClients":
        for thread in self._threads:
            thread.start()
        for one in self._connected:
            one.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    def _hold(self, connected: Callable[[], None]) -> None:
        while not self._over.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=0.5) as wire:
                wire.sendall(self._beginning)
                connected()
                self._stay(wire)

    def _stay(self, wire: socket.socket) -> None:
        """Send on, slowly, until the server closes or the block is over."""
        while not self._over.is_set():
            with suppress(TimeoutError):
                if not wire.recv(65536):  # for as long as the wire's timeout: half a second
                    return
            if self._rest:
                wire.sendall(self._rest)
