"""The HTTP side: sockets, limits, CORS. Loopback only."""

from __future__ import annotations

import ipaddress
import logging
import socket
import socketserver
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local_stripe.emulator import Emulator
from local_stripe.http import control, three_d_secure
from local_stripe.http.dispatch import Answer, Api, Call, encoded

logger = logging.getLogger(__name__)

MAX_BODY = 1_000_000
MAX_DISCARDED = 20_000_000
IDLE_SECONDS = 75


class Server(ThreadingHTTPServer):
    """One thread per connection. Raises ValueError for an address that is not loopback."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, emulator: Emulator, api: Api, host: str, port: int) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The local Stripe listens on loopback only, not on {host}")
        self.emulator = emulator
        self.api = api
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind, without the name lookup that HTTPServer would do."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]  # type: ignore[assignment]

    def start(self) -> None:
        """Serve in a daemon thread."""
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.02,), name="local-stripe", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._thread:
            self.shutdown()
            self._thread.join()
            self._thread = None
        self.server_close()
        with self._connections_lock:
            for connection in list(self._connections):
                _hang_up(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that ``stop`` can close it."""
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget and close the connection."""
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a bug; a client that closed the connection is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            logger.exception("The local Stripe failed on a connection")


class Handler(BaseHTTPRequestHandler):
    """One connection. Headers and body are sent in one write: two would cost 40 ms a call."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: Server

    def answer(self) -> None:
        """Answer one call of any method."""
        body = self._body()
        if body is not None:
            self._answer(body)

    do_GET = do_POST = do_OPTIONS = do_DELETE = do_PUT = do_PATCH = do_HEAD = answer

    def _answer(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.command, self.path, headers, body)
        if not _is_loopback(headers.get("host", "")):
            answer: Answer | None = _refusal(403, "The local Stripe answers to loopback names only.")
        elif self.path.startswith(control.PREFIX):
            answer = control.answer(self.server.emulator, call)
        elif self.path.startswith(three_d_secure.PREFIX):
            answer = three_d_secure.answer(self.server.emulator.state, call)
        elif self.command == "OPTIONS":
            answer = _preflight(headers)
        else:
            answer = self.server.api.answer(call)
            if answer:
                answer.headers.update(_CORS)
        if answer is None:
            self.close_connection = True
            _hang_up(self.connection)
        else:
            self._send(answer)

    def handle_expect_100(self) -> bool:
        """Let curl send a large body at once; the answer must not wait in the buffer."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _body(self) -> bytes | None:
        """The body; None if it was refused, which is then answered."""
        length = self.headers.get("Content-Length", "0")
        refusal = None
        if "Transfer-Encoding" in self.headers:
            refusal = _refusal(411, "Send a Content-Length; other transfer encodings are not understood.")
        elif not (length.isascii() and length.isdigit()):
            refusal = _refusal(400, "Invalid Content-Length.")
        elif len(length) > 10 or int(length) > MAX_BODY:
            refusal = _refusal(413, f"The body may have at most {MAX_BODY} bytes.")
        if refusal:
            self.close_connection = True
            self._send(refusal)
            self._discard_body()
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _discard_body(self) -> None:
        """Read what is still coming: closing over unread bytes would destroy the answer on its way."""
        self.connection.settimeout(0.5)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            for _ in range(MAX_DISCARDED // 65536):
                if not self.rfile.read1(65536):
                    break

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.server could not parse in Stripe's format, not as an HTML page."""
        self.close_connection = True
        self.command = getattr(self, "command", None) or "GET"
        self.request_version = self.protocol_version  # else a line that is not HTTP gets no status line
        self._send(_refusal(int(code), message or HTTPStatus(code).phrase))

    def version_string(self) -> str:
        """The Server header."""
        return "local-stripe"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a target may hold a key and a client secret. See GET /_control/requests instead."""


def _refusal(status: int, message: str) -> Answer:
    return Answer(status, encoded({"error": {"message": message, "type": "invalid_request_error"}}))


_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Request-Id, Stripe-Version, Idempotent-Replayed",
}


def _preflight(headers: dict[str, str]) -> Answer:
    requested_headers = headers.get("access-control-request-headers", "")
    allowed = "".join(char for char in requested_headers if char.isalnum() or char in "-, ")
    answer = {
        **_CORS,
        "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS, DELETE",
        "Access-Control-Allow-Headers": allowed
        or "Authorization, Content-Type, Idempotency-Key, Stripe-Version",
        "Access-Control-Max-Age": "300",
    }
    if headers.get("access-control-request-private-network") == "true":
        answer["Access-Control-Allow-Private-Network"] = "true"
    return Answer(200, b"", answer)


def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine; another name would be a web page that rebound its DNS."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.strip("[]").lower() in ("127.0.0.1", "localhost", "::1", "")


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
