"""The wire: keys, headers, CORS, limits, garbage, one write per answer, loopback only."""

from __future__ import annotations

import ast
import base64
import http.client
import json
import socket
import sys
import threading
import time
import unittest
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import stripe

import local_stripe
from local_stripe import LocalStripe
from local_stripe.http.server import Server

from .support import LocalStripeTestCase, call, client_of


class KeyTests(LocalStripeTestCase):
    def get(self, headers: dict[str, str], query: str = "") -> Any:
        return call("GET", f"{self.server.base_url}/v1/payment_intents{query}", None, headers)

    def test_any_test_key_will_do_as_bearer_or_basic(self) -> None:
        basic = base64.b64encode(b"sk_test_x:").decode()
        for value in ("Bearer sk_test_x", "bearer sk_test_51Habc", f"Basic {basic}"):
            self.assertEqual(self.get({"Authorization": value}).status, 200)

    def test_missing_live_and_malformed_keys_are_refused(self) -> None:
        for headers in (
            {},
            {"Authorization": "Bearer sk_live_0123456789abcdefghij"},
            {"Authorization": "Bearer pk_live_0123456789abcdefghij"},
            {"Authorization": "Bearer nonsense"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic %%%"},
            {"Authorization": "Digest sk_test_x"},
        ):
            with self.subTest(headers=headers):
                answer = self.get(headers)
                self.assertEqual(
                    (answer.status, answer.json["error"]["type"]), (401, "invalid_request_error")
                )
                self.assertNotIn("0123456789abcdefghij", answer.body.decode())

    def test_the_sdk_sees_an_authentication_error(self) -> None:
        with self.assertRaises(stripe.AuthenticationError):
            client_of(self.server, "sk_live_x").v1.payment_intents.list()

    def test_a_secret_key_is_no_parameter(self) -> None:
        self.assertEqual(self.get({}, "?key=sk_test_x").status, 401)


class AnswerTests(LocalStripeTestCase):
    def test_it_carries_stripes_headers(self) -> None:
        answer = self.api("GET", "/v1/payment_intents")
        self.assertTrue(answer.headers["Request-Id"].startswith("req_"))
        self.assertEqual(answer.headers["Stripe-Version"], "2026-10-28.endive")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        answer = self.api("GET", "/v1/nothing", headers={"Stripe-Version": "2025-01-01.test"})
        self.assertEqual((answer.status, answer.headers["Stripe-Version"]), (404, "2025-01-01.test"))
        self.assertEqual(answer.json["error"]["type"], "invalid_request_error")

    def test_an_answer_is_one_write(self) -> None:
        sizes: list[int] = []
        write = socket.SocketIO.write

        def counted(self: socket.SocketIO, data: Any) -> int | None:
            sizes.append(len(data))
            return write(self, data)

        with mock.patch.object(socket.SocketIO, "write", counted):
            answer = self.api("GET", "/v1/payment_intents")
        self.assertEqual(len(sizes), 1)
        self.assertGreater(sizes[0], len(answer.body))

    def test_a_connection_serves_many_calls(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        self.addCleanup(connection.close)
        ports = set()
        for path in ("/v1/payment_intents", "/v1/nothing", "/_control/requests", "/v1/events"):
            connection.request("GET", path, headers={"Authorization": "Bearer sk_test_x"})
            connection.getresponse().read()
            assert connection.sock is not None
            ports.add(connection.sock.getsockname()[1])
        self.assertEqual(len(ports), 1)

    def test_it_serves_many_clients_at_once(self) -> None:
        def create_some() -> None:
            for _ in range(10):
                self.create()

        threads = [threading.Thread(target=create_some) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.types()), 80)
        self.assertEqual(len({event["data"]["object"]["id"] for event in self.server.events()}), 80)

    def test_a_preflight_lets_a_page_in(self) -> None:
        headers = "authorization, content-type"
        answer = call(
            "OPTIONS",
            f"{self.server.base_url}/v1/payment_intents/pi_x/confirm",
            None,
            {
                "Origin": "http://localhost:3000",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": headers,
            },
        )
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*")
        self.assertIn("POST", answer.headers["Access-Control-Allow-Methods"])
        self.assertEqual(answer.headers["Access-Control-Allow-Headers"], headers)

    def test_errors_carry_cors_too(self) -> None:
        answer = self.browser("GET", "/v1/payment_intents/pi_x", {"client_secret": "x"})
        self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (404, "*"))


class GarbageTests(LocalStripeTestCase):
    def raw(self, data: bytes) -> tuple[int, Any]:
        """Send bytes; gives status and decoded body of the answer."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    def test_garbage_gets_an_error_in_stripes_shape(self) -> None:
        start = b"POST /v1/payment_intents HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk_test_x\r\n"
        for data, status in (
            (b"nonsense\r\n\r\n", 400),
            (b"GET /v1/x HTTP/9.9\r\n\r\n", 505),
            (b"BREW /v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 501),
            (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
            (b"GET /v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
            (start + b"Content-Length: nine\r\n\r\n", 400),
            (start + b"Content-Length: -1\r\n\r\n", 400),
            (start + b"Content-Length: 99999999999\r\n\r\n", 413),
            (start + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        ):
            with self.subTest(data=data[:60]):
                answer = self.raw(data)
                self.assertEqual((answer[0], answer[1]["error"]["type"]), (status, "invalid_request_error"))

    def test_a_garbled_form_gets_400(self) -> None:
        for body in (
            b"\xff\xfe",
            b"amount=1000&currency=usd&description=%ff",
            b"a" + b"[b]" * 20 + b"=1",
            b"[]=1",
            b"a[b=1",
            b"&".join(b"a%d=1" % n for n in range(1001)),
            b"amount=1&amount[x]=2",
        ):
            with self.subTest(body=body[:40]):
                answer = self.api("POST", "/v1/payment_intents", body)
                self.assertEqual(
                    (answer.status, answer.json["error"]["type"]), (400, "invalid_request_error")
                )

    def test_json_is_refused(self) -> None:
        headers = {"Content-Type": "application/json"}
        self.assertEqual(self.api("POST", "/v1/payment_intents", b'{"amount": 1000}', headers).status, 400)

    def test_a_body_over_the_limit_is_refused(self) -> None:
        answer = self.api("POST", "/v1/payment_intents", b"a=" + b"x" * 1_500_000)
        self.assertEqual((answer.status, answer.json["error"]["type"]), (413, "invalid_request_error"))

    def test_a_bug_is_an_api_error_without_a_traceback(self) -> None:
        id = self.create().id
        with (
            mock.patch(
                "local_stripe.resources.payment_intents.expanded", side_effect=ZeroDivisionError("inside")
            ),
            self.assertLogs("local_stripe.http.dispatch", "ERROR"),
        ):
            answer = self.api("GET", f"/v1/payment_intents/{id}")
        self.assertEqual((answer.status, answer.json["error"]["type"]), (500, "api_error"))
        self.assertNotIn("inside", answer.body.decode())

    def test_odd_targets_are_unknown_paths(self) -> None:
        for target in (b"http://[/v1/x", b"/v1/payment_intents/%ff%00", b"*", b"//[x"):
            with self.subTest(target=target):
                head = b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                status, body = self.raw(head + b"Authorization: Bearer sk_test_x\r\n\r\n")
                self.assertEqual((status, body["error"]["type"]), (404, "invalid_request_error"))


class LifeTests(unittest.TestCase):
    def test_it_listens_on_loopback_only(self) -> None:
        with LocalStripe() as stripe_:
            self.assertEqual(stripe_.base_url, f"http://127.0.0.1:{stripe_.port}")
        for host in ("0.0.0.0", "::", "192.0.2.1"):
            with self.subTest(host=host), self.assertRaises(ValueError):
                LocalStripe(host=host)
            with self.subTest(host=host), self.assertRaises(ValueError):
                Server(stripe_, stripe_.api, host, 0)

    def test_a_port_in_use_is_an_os_error(self) -> None:
        with LocalStripe() as first, self.assertRaises(OSError):
            LocalStripe(port=first.port)

    def test_stop_closes_the_port_and_open_connections(self) -> None:
        with LocalStripe() as stripe_:
            connection = http.client.HTTPConnection("127.0.0.1", stripe_.port, timeout=30)
            self.addCleanup(connection.close)
            connection.request("GET", "/_control/requests")
            connection.getresponse().read()
        with self.assertRaises(OSError):
            connection.request("GET", "/_control/requests")
            connection.getresponse()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", stripe_.port), timeout=1)
        stripe_.stop()

    def test_stop_ends_the_wait_of_a_fault(self) -> None:
        with LocalStripe() as stripe_:
            stripe_.add_fault(delay=60)
            url = f"{stripe_.base_url}/v1/payment_intents"
            caller = threading.Thread(target=_ignore_errors, args=(url,))
            caller.start()
            while stripe_.faults():
                threading.Event().wait(0.005)
        deadline = time.monotonic() + 30
        while not stripe_.requests():
            self.assertLess(time.monotonic(), deadline, "the call still waits")
            threading.Event().wait(0.005)
        caller.join(30)

    def test_two_do_not_know_each_other(self) -> None:
        form, key = b"amount=1000&currency=usd", {"Authorization": "Bearer sk_test_x"}
        with LocalStripe() as one, LocalStripe() as other:
            call("POST", f"{one.base_url}/v1/payment_intents", form, key)
            self.assertEqual((len(one.events()), len(other.events())), (1, 0))

    def test_it_needs_nothing_but_the_standard_library(self) -> None:
        folder = Path(local_stripe.__file__).parent
        for path in [path for path in folder.rglob("*.py") if "tests" not in path.parts]:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                for name in names:
                    self.assertIn(
                        name.partition(".")[0], {*sys.stdlib_module_names, "local_stripe"}, path.name
                    )


def _ignore_errors(url: str) -> None:
    with suppress(OSError):
        call("GET", url, None, {"Authorization": "Bearer sk_test_x"})
