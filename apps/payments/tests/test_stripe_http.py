"""How requests get to Stripe: proxies, certificates, connections that others have closed."""

import gzip
import json
import os
import ssl
import subprocess
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from threading import Thread
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

import stripe
from django.test import SimpleTestCase, override_settings

from apps.payments import gateway, stripe_http
from apps.payments.errors import PaymentProviderUnavailable

INTENT = {
    "id": "pi_1",
    "status": "processing",
    "amount": 1000,
    "currency": "usd",
    "metadata": {"order_id": "7"},
}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Answers(BaseHTTPRequestHandler):
    """Answers each request with INTENT, or as the server's attributes say, and notes it."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def setup(self):
        self.server.connections += 1
        super().setup()

    def do_GET(self):
        server = self.server
        server.requests.append((f"{self.command} {self.path}", self.headers))
        body = server.body
        self.send_response(server.status)
        if server.compresses:
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        if server.location:
            self.send_header("Location", server.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = server.closes  # without a word in the header

    do_CONNECT = do_GET

    def log_message(self, *arguments):
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Its own connections; who does not trust its certificate leaves it with an error, of which it says nothing."""

    daemon_threads = True
    status, location, closes, compresses = 200, "", False, False
    body = json.dumps(INTENT).encode()
    connections = 0

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.requests: list[Any] = []

    def handle_error(self, request, client_address):
        """Say nothing."""


class StripeHttpTests(SimpleTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.environment()
        gateway._client_for.cache_clear()  # a client has the proxies of when it was created
        self.addCleanup(gateway._client_for.cache_clear)

    def environment(self, **proxies):
        """The proxies that this process has in its environment."""
        names = {*PROXIES, *(name.upper() for name in PROXIES)}
        others = {name: value for name, value in os.environ.items() if name not in names}
        changed = patch.dict(os.environ, others | proxies, clear=True)
        changed.start()
        self.addCleanup(changed.stop)

    def serve(self):
        server = Server()
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def address(self, server, scheme="http", host="127.0.0.1"):
        return f"{scheme}://{host}:{server.server_port}"

    def fetch(self, base=""):
        with override_settings(STRIPE_API_BASE=base or self.address(self.server)):
            return gateway.fetch_intent("pi_1")

    def assertUnavailable(self, base=""):
        with self.assertRaises(PaymentProviderUnavailable), self.assertLogs("apps.payments.gateway", "ERROR"):
            self.fetch(base)

    def test_it_reads_what_stripe_answers(self):
        intent = self.fetch()
        self.assertEqual((intent.id, intent.status, str(intent.amount)), ("pi_1", "processing", "10.00"))
        self.assertEqual((intent.currency, intent.order_id, intent.client_secret), ("USD", "7", ""))
        [(line, header)] = self.server.requests
        self.assertEqual(line, "GET /v1/payment_intents/pi_1?expand%5B0%5D=latest_charge")
        self.assertTrue(header["Authorization"].startswith("Bearer sk_"), "the key is sent")
        self.assertEqual(header["Stripe-Version"], stripe.api_version)

    def test_it_reads_a_compressed_answer(self):
        self.server.compresses = True
        self.assertEqual(self.fetch().id, "pi_1")
        self.assertIn("gzip", self.server.requests[0][1]["Accept-Encoding"])

    def test_a_page_in_another_encoding_is_an_answer_that_makes_no_sense(self):
        self.server.body = "<p>Der Server ist überlastet".encode("latin-1")  # as of something between
        for status in (502, 200):
            self.server.status = status
            self.assertUnavailable()

    def test_all_threads_share_the_connections(self):
        with override_settings(STRIPE_API_BASE=self.address(self.server)):
            for _ in range(3):
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(gateway.fetch_intent, "pi_1").result()
        self.assertEqual((len(self.server.requests), self.server.connections), (3, 1))

    def test_a_connection_that_was_closed_meanwhile_is_replaced(self):
        self.server.closes = True
        for _ in range(3):
            self.assertEqual(self.fetch().id, "pi_1")
        self.assertEqual(self.server.connections, 3)

    def test_it_goes_through_the_proxy_of_the_environment(self):
        proxy = self.serve()
        self.environment(HTTP_PROXY=f"http://kofi:p%40ss@127.0.0.1:{proxy.server_port}")
        self.fetch("http://stripe.test")
        [(line, header)] = proxy.requests
        self.assertTrue(line.startswith("GET http://stripe.test/v1/payment_intents/pi_1"), line)
        self.assertEqual(header["Host"], "stripe.test")
        self.assertEqual(header["Proxy-Authorization"], "Basic a29maTpwQHNz")  # kofi:p@ss

    def test_a_proxy_may_be_named_without_its_scheme(self):
        proxy = self.serve()
        self.environment(all_proxy=f"127.0.0.1:{proxy.server_port}")
        self.fetch("http://stripe.test")
        self.assertEqual(len(proxy.requests), 1)

    def test_a_password_of_the_proxy_may_have_any_characters(self):
        proxy = self.serve()
        self.environment(HTTP_PROXY=f"http://kofi:%E2%82%AC@127.0.0.1:{proxy.server_port}")
        self.fetch("http://stripe.test")
        [(_, header)] = proxy.requests
        self.assertEqual(header["Proxy-Authorization"], "Basic a29maTrigqw=")  # kofi:€ in UTF-8

    def test_a_proxy_that_cannot_be_used_is_no_500_and_its_password_in_no_log(self):
        for proxy in (
            "socks5://kofi:opensesame@127.0.0.1:1080",
            "http://kofi:opensesame#1@127.0.0.1:3128",
            "http://kofi:opensesame/1@127.0.0.1:3128",
            "http://kofi:opensesame€@127.0.0.1:3128",
            "http://[opensesame@127.0.0.1",
        ):
            self.environment(HTTP_PROXY=proxy)
            with (
                self.subTest(proxy),
                self.assertLogs("apps.payments", "ERROR") as logs,
                self.assertRaises(PaymentProviderUnavailable) as raised,
            ):
                self.fetch("http://stripe.test")
            self.assertIn("proxy for Stripe", logs.output[0])
            text = "".join([*logs.output, *traceback.format_exception(raised.exception)])
            self.assertNotIn("opensesame", text)

    def test_it_asks_the_proxy_for_a_tunnel_where_the_connection_is_encrypted(self):
        proxy = self.serve()
        proxy.status = 502
        self.environment(https_proxy=self.address(proxy))
        self.assertUnavailable("https://stripe.test")
        lines = [line for line, _ in proxy.requests]
        self.assertEqual(lines, ["CONNECT stripe.test:443"] * 2, "and it is tried again")
        self.assertNotIn("Authorization", proxy.requests[0][1], "the key is not for the proxy")

    def test_it_uses_no_proxy_for_the_hosts_that_are_excepted(self):
        proxy = self.serve()
        self.environment(HTTP_PROXY=self.address(proxy), NO_PROXY="example.org,127.0.0.1")
        self.fetch()
        self.assertEqual((len(self.server.requests), len(proxy.requests)), (1, 0))

    def test_it_follows_no_redirect(self):
        other = self.serve()
        self.server.status, self.server.location = 307, self.address(other)
        self.assertUnavailable()
        self.assertEqual(other.requests, [])

    @skipUnless(which("openssl"), "makes the certificate")
    def test_it_speaks_to_nobody_whose_certificate_is_not_trusted(self):
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
            command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
            command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
            subprocess.run(command.split(), check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
            base = self.address(self.server, "https", "localhost")
            self.assertUnavailable(base)
            self.assertEqual((self.server.connections, self.server.requests), (1, []), "nor tried again")
            # The control: who trusts it gets an answer.
            gateway._client_for.cache_clear()
            with patch.object(stripe, "ca_bundle_path", str(certificate)):
                self.assertEqual(self.fetch(base).id, "pi_1")


class DirectCallsTests(SimpleTestCase):
    """What buyers wait for is sent past the library's `raw_request`: nothing else arrives at Stripe."""

    params: dict[str, Any] = {
        "amount": 1000,
        "currency": "usd",
        "allowed_payment_method_types": ["card", "link"],
        "metadata": {"order_id": "7-8", "installation": ""},
        "description": "3 × A & B [+]/ 100% ~",
    }

    def sent(self, call):
        """What the HTTP client is called with."""
        gateway._client_for.cache_clear()
        self.addCleanup(gateway._client_for.cache_clear)
        with patch.object(stripe_http.PooledClient, "request", return_value=("{}", 200, {})) as request:
            call(*gateway._clients())
        [(method, url, headers, body)] = [each.args for each in request.call_args_list]
        return method, url, dict(headers), body

    def test_a_post(self):
        path, key = "/v1/payment_intents", "order-7-create"
        by_library = self.sent(
            lambda client, _: client.raw_request("post", path, **self.params, idempotency_key=key)
        )
        directly = self.sent(lambda _, calls: calls.send("post", path, self.params, key))
        self.assertEqual(directly, by_library)
        self.assertIn("metadata[order_id]=7-8", by_library[3])

    def test_a_get(self):
        path, params = "/v1/payment_intents/pi_1", {"expand": ["latest_charge"]}
        by_library = self.sent(lambda client, _: client.raw_request("get", path, **params))
        directly = self.sent(lambda _, calls: calls.send("get", path, params))
        # The library writes the brackets of an address as they are, urllib3 as %5B.
        self.assertEqual(directly, by_library)

    def test_a_refusal_is_the_same_error(self):
        answer = json.dumps({"error": {"type": "card_error", "code": "x", "message": "no", "param": "p"}})
        errors = []
        for send in ("library", "directly"):
            with patch.object(stripe_http.PooledClient, "request", return_value=(answer, 402, {"a": "b"})):
                client, calls = gateway._clients()
                with self.assertRaises(stripe.StripeError) as raised:
                    if send == "library":
                        client.raw_request("get", "/v1/x")
                    else:
                        calls.send("get", "/v1/x", {})
            errors.append((type(raised.exception), raised.exception.code, raised.exception.headers))
        self.assertEqual(errors[0], errors[1])
