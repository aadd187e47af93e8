"""gunicorn as gunicorn.conf.py sets it up, alone and behind deploy/nginx.conf: slow clients, and HTTP's fine print."""

import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless

from django.conf import settings
from django.test import SimpleTestCase, tag

from tests.support.cases import CommittingTestCase
from tests.support.server import START, Server, answers, free_port
from tests.support.slow_clients import SlowClients
from voucher_project import web_worker

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
PATIENCE = 20  # seconds; without the remedy it is more than a minute


def get(port: int, path: str = "/api/vouchers/types/", patience: float = PATIENCE) -> int | None:
    """The status of the answer to one GET; None if there is none in time."""
    caller = HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        caller.request("GET", path)
        return caller.getresponse().status
    except TimeoutError:
        return None
    finally:
        caller.close()


@tag("slow", "any-database")
class SlowClientTests(CommittingTestCase):
    """Every thread could be held by two slow clients of each kind."""

    def server(self, **environment):
        server = Server(WEB_THREADS="8", **environment)
        self.addCleanup(server.kill)
        self.assertEqual(get(server.port, patience=START), 200)
        return server

    def hold(self, port):
        held = ExitStack()
        for kind in SlowClients.KINDS:
            held.enter_context(SlowClients(kind, port, 60 if kind == "silent" else 16))
        return held

    def test_slow_clients_keep_nobody_waiting(self):
        server = self.server()
        with self.hold(server.port):
            self.assertEqual([get(server.port) for _ in range(5)], [200] * 5)

    def test_control_they_hold_up_the_worker_that_gunicorn_brings(self):
        server = self.server(GUNICORN_CMD_ARGS="--worker-class gthread")
        with SlowClients("slow body", server.port, 16):
            self.assertIsNone(get(server.port, patience=1.5))

    @skipUnless(NGINX, "nginx is not installed")
    def test_they_keep_nobody_waiting_behind_the_proxy(self):
        # Behind it the worker that gunicorn brings would do: the proxy alone holds them off.
        server = self.server(
            GUNICORN_CMD_ARGS="--worker-class gthread",
            TRUSTED_PROXY_COUNT="1",
            METRICS_TOKEN="metrics-token-0123456789-0123456789",
        )
        proxy = self.proxy(server.port)
        with self.hold(proxy):
            self.assertEqual([get(proxy) for _ in range(5)], [200] * 5)
        caller = HTTPConnection("127.0.0.1", proxy, timeout=PATIENCE)
        self.addCleanup(caller.close)
        caller.request("GET", "/metrics", headers={"Authorization": "Bearer of-a-token"})
        response = caller.getresponse()  # 401, were it the application's
        self.assertEqual((response.status, b"nginx" in response.read()), (404, True))
        server.kill()
        caller.request("GET", "/api/vouchers/types/")
        response = caller.getresponse()
        self.assertEqual((response.status, response.headers["Retry-After"]), (503, "5"))
        self.assertEqual(response.headers["Content-Type"], "application/problem+json")
        self.assertIn(b'"service_unavailable"', response.read())

    def proxy(self, application_port):
        """nginx with deploy/nginx.conf before a port of this machine. Returns its own port."""
        port, folder = free_port(), Path(self.enterContext(TemporaryDirectory()))
        text = (Path(settings.BASE_DIR) / "deploy/nginx.conf").read_text()
        for old, new in (
            ("listen 80 ", f"listen 127.0.0.1:{port} "),
            ("server app:8000 ", f"server 127.0.0.1:{application_port} "),
            (" /tmp/nginx", f" {folder}/nginx"),
        ):
            self.assertIn(old, text)
            text = text.replace(old, new)
        (folder / "nginx.conf").write_text(text)
        folder.chmod(0o755)
        assert NGINX
        process = subprocess.Popen(
            [NGINX, "-c", folder / "nginx.conf", "-g", "daemon off;"], stderr=subprocess.PIPE
        )
        assert process.stderr
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                self.fail(process.stderr.read().decode())
            time.sleep(0.05)
        return port


def echo_server(**environment):
    """A server whose answers say what it was asked."""
    return Server(application="tests.support.echo:application", WEB_THREADS="2", **environment)


class RequestTests(SimpleTestCase):
    """What the worker hands to an application, and where it ends a connection."""

    server: Server

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = echo_server()
        cls.addClassCleanup(cls.server.kill)

    def serve(self, **environment):
        """A server of the test's own."""
        server = echo_server(**environment)
        self.addCleanup(server.kill)
        return server

    def connect(self, server):
        wire = self.enterContext(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return wire

    def read(self, wire):
        """One answer: its head and its body; empty where the server has closed."""
        received = b""
        with suppress(ConnectionResetError):
            while b"\r\n\r\n" not in received and (data := wire.recv(1)):
                received += data
        head = received.partition(b"\r\n\r\n")[0].decode()
        length = re.search(r"(?im)^content-length: (\d+)", head)
        body = b""
        while length and len(body) < int(length[1]) and (data := wire.recv(65536)):
            body += data
        return head, body

    def assertAnswers(self, wire, *bodies):
        """The next answers are 200 with these bodies, and the connection is closed after them."""
        for body in bodies:
            head, received = self.read(wire)
            self.assertEqual((head[:12], received), ("HTTP/1.1 200", body))
        self.assertIn("connection: close", head.lower())
        self.assertEqual(self.read(wire), ("", b""))

    def test_requests_follow_each_other_on_a_connection_however_they_are_cut(self):
        wire = self.connect(self.server)
        post = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        for number in range(3):
            wire.sendall(post % number)
            self.assertEqual(self.read(wire)[1], b"POST /%d hello" % number)
        for piece in re.findall(b"(?s).{1,7}", b"\r\n" + post % 3):
            wire.sendall(piece)
            time.sleep(0.01)
        self.assertEqual(self.read(wire)[1], b"POST /3 hello")
        wire.sendall(b"GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertAnswers(wire, b"GET /4 ")

    def test_a_request_sent_before_the_answer_to_the_last_is_given_up(self):
        wire = self.connect(self.server)
        wire.sendall(
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        self.assertAnswers(wire, b"POST /1 hi")

    def test_a_client_that_asks_first_is_told_once_to_go_on(self):
        wire = self.connect(self.server)
        wire.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(self.read(wire)[0], "HTTP/1.1 100 Continue")
        wire.sendall(b"hello")
        head, body = self.read(wire)
        self.assertEqual((head[:12], body), ("HTTP/1.1 200", b"POST / hello"))

    def test_a_body_that_will_not_be_read_ends_the_connection(self):
        for header in (
            f"Content-Length: {web_worker.MAX_BODY_BYTES + 1}",
            f"Connection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: {web_worker.MAX_BODY_BYTES + 1}",
            "Connection: keep-alive\r\nTransfer-Encoding: chunked",
        ):
            with self.subTest(header):
                wire = self.connect(self.server)
                wire.sendall(f"POST /unread HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n".encode())
                self.assertAnswers(wire, b"POST /unread ")

    def test_no_request_hides_in_the_body_of_another(self):
        hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
        for header in (
            f"Content-Length: 0\r\nContent-Length: {len(hidden)}",
            f"Content-Length: {len(hidden)}\r\nTransfer-Encoding: chunked",
            f"Content-Length : {len(hidden)}",
            f"Content-Length: +{len(hidden)}",
            f"Content-Length:\r\n {len(hidden)}",
            "Content-Length: ",
        ):
            with self.subTest(header):
                wire = self.connect(self.server)
                wire.sendall(f"POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n{hidden}".encode())
                self.assertEqual(self.read(wire)[0][:12], "HTTP/1.1 400")
                self.assertEqual(self.read(wire), ("", b""))

    def test_a_header_without_end_is_refused(self):
        wire = self.connect(self.server)
        with suppress(ConnectionError):
            wire.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (web_worker.MAX_HEADER_BYTES + 1))
        self.assertEqual(self.read(wire)[0][:12], "HTTP/1.1 431")

    def test_a_request_that_does_not_come_to_its_end_is_given_up(self):
        server = self.serve(HEADER_SECONDS="1")
        silent, begun = self.connect(server), self.connect(server)
        begun.sendall(b"GET / HTT")
        self.assertEqual(self.read(begun)[0][:12], "HTTP/1.1 408")
        self.assertEqual(self.read(silent), ("", b""))

    def test_a_client_that_takes_no_answer_lets_go_of_its_thread(self):
        server = self.serve(SEND_SECONDS="1")
        for _ in range(2):
            self.connect(server).sendall(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(get(server.port, "/"), 200)

    def test_the_oldest_unfinished_request_gives_way_to_a_new_client(self):
        for bound in ({"GUNICORN_CMD_ARGS": "--worker-connections 20"}, {"DESCRIPTORS": "64"}):
            with self.subTest(**bound):
                server = self.serve(**bound)
                oldest = self.connect(server)
                for _ in range(80):
                    self.connect(server)
                self.assertEqual(get(server.port, "/"), 200)
                self.assertEqual(self.read(oldest), ("", b""))

    def test_silent_clients_do_not_keep_the_server_from_stopping(self):
        server = self.serve()
        self.connect(server)
        self.assertEqual(get(server.port, "/"), 200)
        self.assertEqual(server.stop(timeout=PATIENCE), 0)

    def test_a_request_on_its_way_when_the_server_is_told_to_stop_is_answered(self):
        server = self.serve()
        wire = self.connect(server)
        self.assertEqual(get(server.port, "/"), 200, "so the connection before is accepted too")
        server.terminate()
        time.sleep(0.5)
        wire.sendall(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        self.assertAnswers(wire, b"POST /late hi")
        self.assertEqual(server.stop(timeout=PATIENCE), 0)

    def test_it_refuses_to_speak_tls_itself(self):
        ran = subprocess.run(
            [sys.executable, "-m", "gunicorn", "--certfile", "manage.py", "tests.support.echo:application"],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        self.assertEqual(ran.returncode, 1)
        self.assertIn("end it at the proxy", ran.stderr)

    def test_it_takes_whatever_the_application_takes(self):
        self.assertGreater(web_worker.MAX_BODY_BYTES, settings.MAX_UPLOAD_BYTES + 64 * 1024)

    def test_it_listens_to_its_own_machine_unless_it_is_in_a_container(self):
        show = [sys.executable, "-m", "gunicorn", "--print-config", "voucher_project.wsgi"]
        for host, address in (("", "127.0.0.1:8000"), ("0.0.0.0", "0.0.0.0:8000")):
            environment = {"WEB_HOST": host} if host else {}
            ran = subprocess.run(
                show, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
            )
            self.assertRegex(ran.stdout, rf"(?m)^bind += \['{re.escape(address)}'\]$")
