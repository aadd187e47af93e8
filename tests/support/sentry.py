"""A stand-in for Sentry on this machine: it takes reports over HTTP, or takes connections and never answers."""

import gzip
import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROJECT = 7


class SentryServer:
    """Keeps what it is sent: `events`, and `received` as text. `dsn` is the address for SENTRY_DSN."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.received = ""
        self.kinds: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments: Any) -> None:
                """Nothing: it would be on the console."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.dsn = f"http://public@127.0.0.1:{self._server.server_port}/{PROJECT}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, envelope: bytes) -> None:
        """Keep an envelope: a line of JSON about it, then for each item a line of JSON and its payload."""
        assert path == f"/api/{PROJECT}/envelope/", path
        self.received += envelope.decode()
        lines = iter(envelope.splitlines()[1:])
        for header, payload in zip(lines, lines, strict=True):
            kind = json.loads(header)["type"]
            self.kinds.add(kind)
            if kind == "event":
                self.events.append(json.loads(payload))

    def wait_for(self, number: int, seconds: float = 30) -> list[dict[str, Any]]:
        """The events, once there are so many; AssertionError when time is up."""
        deadline = time.monotonic() + seconds
        while len(self.events) < number:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.events)} events, not {number}")
            time.sleep(0.05)
        return self.events

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class SilentSentry:
    """Takes connections, reads nothing and never answers. `connections` are those that it has."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = f"http://public@127.0.0.1:{self._listener.getsockname()[1]}/{PROJECT}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                self.connections.append(self._listener.accept()[0])

    def close(self) -> None:
        """End it."""
        self._listener.close()
        for one in self.connections:
            one.close()
