"""What the tests share: one local Stripe per class, the real SDK, a browser, and an endpoint for webhooks."""

from __future__ import annotations

import json
import threading
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import stripe

from local_stripe import LocalStripe

SECRET_KEY = "sk_test_local"
PUBLISHABLE_KEY = "pk_test_local"
RETRY_DELAYS = (0.01, 0.02, 0.03)
REFUND_CHANGED = ["refund.updated", "charge.refund.updated"]  # the types of the events, in their order


class Reply:
    """The answer of a call: ``status``, ``headers``, ``json``."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    method: str,
    url: str,
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 10,
) -> Reply:
    """One HTTP call, whatever its status; redirects are not followed."""
    request = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return Reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as answer:
        with answer:
            return Reply(answer.code, answer.headers, answer.read())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


class LocalStripeTestCase(unittest.TestCase):
    """A test with ``self.server`` (fresh memory) and ``self.client`` (stripe-python with a secret key)."""

    server: LocalStripe
    client: stripe.StripeClient

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        telemetry = stripe.enable_telemetry
        stripe.enable_telemetry = False  # it would write a file into the home directory
        cls.addClassCleanup(setattr, stripe, "enable_telemetry", telemetry)
        cls.server = LocalStripe(retry_delays=RETRY_DELAYS, delivery_timeout=30).start()
        cls.addClassCleanup(cls.server.stop)
        cls.client = client_of(cls.server)

    def setUp(self) -> None:
        super().setUp()
        self.server.reset()
        self.server.set_webhook_endpoint(None, "whsec_local")

    def create(self, **params: Any) -> stripe.PaymentIntent:
        """An intent of 10.00 USD by card, unless ``params`` say otherwise."""
        values = {"amount": 1000, "currency": "usd", "allowed_payment_method_types": ["card"], **params}
        return self.client.v1.payment_intents.create(values)  # type: ignore[arg-type]

    def paid(self, payment_method: str = "pm_card_visa", **params: Any) -> str:
        """The id of an intent of 10.00 USD that was paid."""
        intent = self.create(**params).id
        self.server.pay(intent, payment_method)
        return intent

    def charge_of(self, intent: str) -> stripe.Charge:
        """The charge that paid an intent, as the SDK sees it."""
        paid = self.client.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]})
        assert isinstance(paid.latest_charge, stripe.Charge)
        return paid.latest_charge

    def refusal(self, call: Callable[..., object], *args: Any, **more: Any) -> stripe.InvalidRequestError:
        """Make a call that must be refused and change nothing; gives the error."""
        before = (self.server.events(), self.server.refunds(), self.server.disputes(), self.server.charges())
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            call(*args, **more)
        after = (self.server.events(), self.server.refunds(), self.server.disputes(), self.server.charges())
        self.assertEqual(after, before)
        return caught.exception

    def new_types(self, seen: int) -> list[str]:
        """The types of the events after the first ``seen``."""
        return self.types()[seen:]

    def api(self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """A call with the secret key; ``data`` is a form as mapping, or raw bytes."""
        body = urlencode(data).encode() if isinstance(data, dict) else data
        auth = {"Authorization": f"Bearer {SECRET_KEY}"}
        return call(method, self.server.base_url + path, body, {**auth, **(headers or {})})

    def browser(self, method: str, path: str, data: dict[str, str] | None = None) -> Reply:
        """A call as a page makes it: publishable key among the parameters, an Origin, no other header."""
        form = urlencode({"key": PUBLISHABLE_KEY, **(data or {})})
        url = self.server.base_url + path
        headers = {"Origin": "http://localhost:3000"}
        if method == "GET":
            return call("GET", f"{url}?{form}", None, headers)
        return call(method, url, form.encode(), headers)

    def confirm(
        self, intent: stripe.PaymentIntent, payment_method: str = "pm_card_visa", **more: str
    ) -> Reply:
        """Confirm as a browser does."""
        data = {"client_secret": str(intent.client_secret), "payment_method": payment_method, **more}
        return self.browser("POST", f"/v1/payment_intents/{intent.id}/confirm", data)

    def status_of(self, id: str) -> str:
        """The intent's status, as the SDK sees it."""
        return str(self.client.v1.payment_intents.retrieve(id).status)

    def control(self, method: str, path: str, data: Any = None) -> Reply:
        """A call of the control API."""
        body = None if data is None else json.dumps(data).encode()
        return call(method, f"{self.server.base_url}/_control/{path}", body)

    def types(self) -> list[str]:
        """The types of all events, oldest first."""
        return [event["type"] for event in self.server.events()]


def client_of(server: LocalStripe, key: str = SECRET_KEY) -> stripe.StripeClient:
    """The real SDK, one attempt per call, speaking to a local Stripe."""
    # By requests, as most programs do: the library's choice falls to what there was when it was imported.
    http_client = stripe.RequestsClient()
    return stripe.StripeClient(
        key, base_addresses={"api": server.base_url}, max_network_retries=0, http_client=http_client
    )


class Endpoint:
    """A webhook endpoint. ``statuses`` are answered one by one, then 200; ``received`` is (headers, body)."""

    def __init__(self, *statuses: int, before: Callable[[], object] = lambda: None) -> None:
        self.statuses = list(statuses)
        self.received: list[tuple[Any, bytes]] = []
        endpoint = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                before()
                with lock:
                    endpoint.received.append((self.headers, body))
                    status = endpoint.statuses.pop(0) if endpoint.statuses else 200
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", endpoint.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhook/"

    def __enter__(self) -> Endpoint:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def events(self) -> list[Any]:
        """The bodies received, decoded."""
        return [json.loads(body) for _, body in self.received]


class RefundTestCase(LocalStripeTestCase):
    """Refunds as an application makes and reads them."""

    def give_back(self, intent: str, **params: Any) -> stripe.Refund:
        """Refund as an application does."""
        return self.client.v1.refunds.create({"payment_intent": intent, **params})  # type: ignore[arg-type]

    def status_of_refund(self, id: str) -> str:
        return str(self.client.v1.refunds.retrieve(id).status)
