"""gunicorn's threaded worker, with requests read before they take a thread.

gunicorn's own gives a connection a thread as soon as its first byte is there, and the thread waits for the rest without
a deadline: as many slow clients as there are threads stop the site. Here the process's one loop, which waits for all
connections at once, collects header and body; a thread gets a whole request and never waits for its client to send.
Which thread depends on the request (`web_lanes.py`), and which process takes a connection on how many each holds
(`web_connections.py`).
"""

import contextlib
import errno
import re
import selectors
import socket
import struct
import sys
import time
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from gunicorn import util
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

from .environment import positive_count, read
from .web_connections import ConnectionCounts
from .web_lanes import FastLane, is_fast

HEADER_SECONDS: Final = 10  # for the header to arrive, from the first moment of the connection
BODY_SECONDS: Final = 10  # for the body to arrive, and ...
BODY_BYTES_PER_SECOND: Final = 16 * 1024  # ... a second more for each so many bytes of it
SEND_SECONDS: Final = 20  # for a client to take some of the answer
STOP_SECONDS: Final = (
    2  # for a request to begin whose connection was there when the process got its signal to stop
)

YIELD_SECONDS: Final = 0.002  # for which a process leaves a new connection to one that holds fewer, ...
MAX_YIELDS: Final = 3  # ... so many times in a row; then it takes it

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = (
    6 * 1024 * 1024
)  # more than the application takes: it refuses the request without the body
MAX_BUFFERED_BYTES: Final = 64 * 1024 * 1024  # of all unfinished requests of this process together

END_OF_HEADER: Final = b"\r\n\r\n"
EXPECT_CONTINUE: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)

# For which a thread that computes goes on while others wait for it. Python's own 5 ms, several times in a request,
# would let a PDF in the pool slow the fast lane down.
SWITCH_SECONDS: Final = 0.001

# Requests of the fast lane at once in a process: one, unless the database is so far away that a process idles.
WIDTH_OF_FAST_LANE: Final = read("WEB_FAST_THREADS", 1, cast=positive_count)

# gunicorn's first process imports this module, so all that it starts share the table.
CONNECTION_COUNTS: Final = ConnectionCounts()


class Connection(TConn):
    """A connection, and what has arrived of its next request."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # The parser is created for each request, from memory: gunicorn must not make one that reads the socket.
        self.initialized = self.data_ready = True
        self.received = bytearray()
        self.deadline = 0.0
        self.body_at = 0  # where the body begins; 0 while the header is not complete
        self.length = 0  # of the body
        self.is_unread = False  # the body will not be read: it has no known end, or is too large
        self.is_fast = False  # the request is one for the fast lane

    def expect_request(self) -> None:
        """Begin to wait for a request."""
        self.received.clear()
        self.body_at = self.length = 0
        self.is_unread = False
        self.deadline = time.monotonic() + HEADER_SECONDS

    def take(self, data: bytes) -> bool:
        """Add what has arrived. Returns whether the request is complete, or will not be read any further."""
        searched = max(0, len(self.received) - len(END_OF_HEADER) + 1)
        self.received += data
        if not self.body_at:
            while self.received.startswith(b"\r\n"):  # empty lines before a request, RFC 9112, section 2.2
                del self.received[:2]
                searched = 0
            end = self.received.find(END_OF_HEADER, searched)
            if end < 0:
                return False
            self.body_at = end + len(END_OF_HEADER)
            self._read_header(bytes(self.received[:end]))
        return self.is_unread or len(self.received) - self.body_at >= self.length

    def _read_header(self, header: bytes) -> None:
        """Find out how long the body is. What gunicorn refuses or the application does not read is not waited for."""
        names_and_values = [line.partition(b":")[::2] for line in header.split(b"\r\n")[1:]]
        lengths = [
            value.strip(b" \t") for name, value in names_and_values if name.lower() == b"content-length"
        ]
        in_chunks = any(name.lower() == b"transfer-encoding" for name, _ in names_and_values)
        if in_chunks or len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]{1,15}", one) for one in lengths):
            self.is_unread = True
            return
        self.length = int(lengths[0]) if lengths else 0
        if self.length > MAX_BODY_BYTES:
            self.is_unread = True
            return
        self.deadline = time.monotonic() + BODY_SECONDS + self.length / BODY_BYTES_PER_SECOND
        if self.length and EXPECT_CONTINUE.search(header + b"\r\n"):
            with contextlib.suppress(OSError):
                self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def make_parser(self) -> None:
        """Put what has arrived before gunicorn's parser, which finds the end of data after the request."""
        header, rest = bytes(self.received[: self.body_at]), bytes(self.received[self.body_at :])
        body, beyond = (b"", rest) if self.is_unread else (rest[: self.length], rest[self.length :])
        self.is_fast = is_fast(header)
        header = EXPECT_CONTINUE.sub(b"", header)  # it was answered, or the body is not wanted
        if self.is_unread or beyond.strip(b"\r\n"):
            # Where the next request begins is not known, or it was sent before this one was answered: the connection
            # ends with this one (RFC 9112, section 9.3.2). As the first header, for gunicorn looks no further.
            header = header.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        self.parser = get_parser(self.cfg, iter([header, body]), self.client)
        self.received.clear()

    def close(self) -> None:
        """Close. What the client has sent unread is taken first: otherwise it may lose the answer (a reset)."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            self.sock.setblocking(False)
            for _ in range(16):
                if not self.sock.recv(64 * 1024):
                    break
        super().close()


class BufferingThreadWorker(ThreadWorker):
    """gthread, but a request is read by the loop and only then passed to a thread.

    Unfinished requests have deadlines, and a bound on their number and bytes: beyond it the oldest gives way, so that
    a new client always finds a place. Everything here runs in the process's main thread.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reading: dict[Connection, None] = {}  # in the order in which they began
        self.max_reading = max(1, self.worker_connections // 2)
        self.stopping_since: float | None = None
        self.fast_lane: FastLane[Connection, bool] = FastLane(
            self.handle, self._served_fast, width=WIDTH_OF_FAST_LANE, most=self.cfg.threads
        )
        self.yields = 0  # times in a row that this process left a new connection to the others
        self.yields_until = 0.0

    def init_process(self) -> None:
        """Serve until the process is told to stop."""
        sys.setswitchinterval(SWITCH_SECONDS)
        super().init_process()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Raises RuntimeError for TLS, whose bytes the loop can't read."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise RuntimeError("This worker does not speak TLS: end it at the proxy before gunicorn.")

    def accept(self, listener: Any) -> None:
        """Take a new connection, and wait for its request; or leave it to a process that holds fewer, for a moment."""
        if self.yields < MAX_YIELDS and CONNECTION_COUNTS.has_most(self.age, self.nr_conns):
            self.yields += 1
            self.yields_until = time.monotonic() + YIELD_SECONDS
            self.set_accept_enabled(
                False
            )  # the next turn of gunicorn's loop after that time turns it on again
            return
        self.yields = 0
        try:
            sock, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not self.reading:
                raise
            self._refuse_oldest()  # the system gives no more descriptors: the new client comes in by the next turn
            return
        # For the thread that sends the answer; the loop's own calls never wait.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        self.nr_conns += 1
        CONNECTION_COUNTS.report(self.age, self.nr_conns)
        self._read_request(Connection(self.cfg, sock, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: Any) -> None:
        """A connection that was kept alive has something to read: its next request, or its end."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._read_request(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for what is next, and deal with it: at most a second, so that deadlines hold while the process stops,
        too, and until a request is overdue, or it is time to accept again."""
        self._report_connections()
        timeout = min(timeout, 1.0)
        if (patience := self.fast_lane.patience()) is not None:
            timeout = min(timeout, patience)
        if (left := self.yields_until - time.monotonic()) > 0:
            timeout = min(timeout, left)
        super().wait_for_and_dispatch_events(timeout)
        self.fast_lane.advance()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Wait for new connections, or not; while this process leaves them to others, it does not."""
        super().set_accept_enabled(enabled and time.monotonic() >= self.yields_until)

    def enqueue_req(self, conn: Connection) -> None:
        """Pass a request on to the fast lane or to the pool."""
        if conn.is_fast:
            self.fast_lane.add(conn)
        else:
            super().enqueue_req(conn)

    def _served_fast(self, conn: Connection, result: "Future[bool]") -> None:
        self.method_queue.defer(self.finish_request, conn, result)

    def _report_connections(self) -> None:
        if self.alive:
            CONNECTION_COUNTS.report(self.age, self.nr_conns)
        else:
            CONNECTION_COUNTS.withdraw(self.age)

    def murder_pending(self) -> None:
        """End what is past its deadline and, some time after the signal to stop, what has not begun.

        Called every second. Not at once: what a client sends as the process is renewed would get no answer.
        """
        super().murder_pending()
        now = time.monotonic()
        if not self.alive and self.stopping_since is None:
            self.stopping_since = now
        ends_silent = self.stopping_since is not None and now > self.stopping_since + STOP_SECONDS
        for conn in list(self.reading):
            if now > conn.deadline or (ends_silent and not conn.received):
                self._refuse(conn, 408, "Request Timeout")

    def _read_request(self, conn: Connection) -> None:
        conn.expect_request()
        self.reading[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_data, conn))
        if len(self.reading) > self.max_reading:
            self._refuse_oldest()

    def _on_data(self, conn: Connection, client: Any) -> None:
        try:
            data = client.recv(64 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
        elif conn.take(data):
            self._stop_reading(conn)
            conn.make_parser()
            self.enqueue_req(conn)
        elif not conn.body_at and len(conn.received) > MAX_HEADER_BYTES:
            self._refuse(conn, 431, "Request Header Fields Too Large")
        elif sum(len(one.received) for one in self.reading) > MAX_BUFFERED_BYTES:
            self._refuse(max(self.reading, key=lambda one: len(one.received)), 503, "Service Unavailable")

    def _refuse_oldest(self) -> None:
        self._refuse(next(iter(self.reading)), 408, "Request Timeout")

    def _refuse(self, conn: Connection, status: int, reason: str) -> None:
        """End a connection whose request is not complete; to one that has sent something, say why."""
        if conn.received:
            with contextlib.suppress(OSError):
                util.write_error(conn.sock, status, reason, "")
        self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self._stop_reading(conn)
        self.nr_conns -= 1
        conn.close()

    def _stop_reading(self, conn: Connection) -> None:
        del self.reading[conn]
        with contextlib.suppress(KeyError, ValueError, OSError):
            self.poller.unregister(conn.sock)
