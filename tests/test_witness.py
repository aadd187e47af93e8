"""The application against localstripe (PyPI), a stand-in for Stripe that others wrote: what it reads is not only
what our own stand-in says.

localstripe is free software under the GPL; it runs as a program of its own and is never imported here.
"""

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any
from unittest import skipUnless
from urllib.parse import urlencode

from django.conf import settings
from django.test import override_settings, tag

from apps.payments import gateway, services
from apps.payments.models import RefundStatus, SoldVoucher, Transaction
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase

# Left alone it would listen on all interfaces, and keep its state in one file for the whole machine.
START = """
import builtins, os, runpy, socket
bind, keep = socket.socket.bind, builtins.open
socket.socket.bind = lambda self, address: bind(self, ("::ffff:127.0.0.1", *address[1:]))
builtins.open = lambda path, *rest, **named: keep(os.devnull if path == KEPT else path, *rest, **named)
KEPT = "/tmp/localstripe.pickle"
runpy.run_module("localstripe", run_name="__main__")
"""


@tag("slow", "any-database")
@skipUnless(find_spec("localstripe"), "localstripe is not installed: see requirements-dev.txt")
class WitnessTests(ApiTestCase):
    witness: str
    relay: str

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        command = [sys.executable, "-u", "-c", START, "--port", "0", "--from-scratch"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        cls.addClassCleanup(_end, process)
        assert process.stdout
        said = ""
        while "Running on" not in said:
            line = process.stdout.readline()
            assert line, f"localstripe did not start: {said}"
            said += line
        port = said.partition("Running on")[2].split()[0].rpartition(":")[2]
        cls.witness = f"http://127.0.0.1:{port}"
        relay = ThreadingHTTPServer(("127.0.0.1", 0), type("ToWitness", (_Relay,), {"witness": cls.witness}))
        threading.Thread(target=relay.serve_forever, args=(0.02,), daemon=True).start()
        cls.addClassCleanup(relay.server_close)
        cls.addClassCleanup(relay.shutdown)
        cls.relay = f"http://127.0.0.1:{relay.server_address[1]}"

    def setUp(self):
        super().setUp()
        override = override_settings(STRIPE_API_BASE=self.relay)
        override.enable()
        self.addCleanup(override.disable)
        self.api = self.signed_in(make_user())

    def start(self, quantity=2, **of_type):
        """Start a purchase as a buyer; gives the id of its intent at the witness."""
        body = {"voucher_type_id": make_type(**of_type).pk, "quantity": quantity}
        response = self.api.post("/api/payments/create-payment-intent/", body)
        self.assertEqual(response.status_code, 201, response.content)
        return response.json()["payment_intent_id"]

    def pay(self, intent_id, payment_method="pm_card_visa"):
        """Pay at the witness itself, with the secret key: it knows no confirmation by a browser."""
        path = f"/v1/payment_intents/{intent_id}"
        self.assertEqual(ask(self.witness, "POST", path, {"payment_method": payment_method})[0], 200)
        return ask(self.witness, "POST", f"{path}/confirm", {})

    def confirm(self, intent_id):
        return self.api.post("/api/payments/confirm-payment/", {"payment_intent_id": intent_id})

    def test_what_is_paid_there_gives_the_vouchers(self):
        for currency, price, minor in (("USD", "12.50", 2500), ("JPY", "1200", 2400)):
            with self.subTest(currency=currency):
                intent_id = self.start(price=price, currency=currency)
                _, intent = ask(self.witness, "GET", f"/v1/payment_intents/{intent_id}")
                started = Transaction.objects.get(stripe_payment_intent_id=intent_id)
                self.assertEqual((intent["amount"], intent["currency"]), (minor, currency.lower()))
                labels = {"order_id": str(started.reference), "installation": settings.INSTALLATION}
                self.assertEqual(intent["metadata"], labels)
                document = self.assertProblem(self.confirm(intent_id), 409, "payment_not_completed")
                self.assertEqual(document["stripe_status"], "requires_payment_method")
                self.assertEqual(self.pay(intent_id)[1]["status"], "succeeded")
                response = self.confirm(intent_id)
                self.assertEqual(response.status_code, 200, response.content)
                self.assertEqual(len(response.json()["vouchers"]), 2)
                self.assertEqual(SoldVoucher.objects.filter(transaction=started).count(), 2)

    def test_what_is_declined_there_gives_none(self):
        intent_id = self.start()
        status, refused = self.pay(intent_id, "pm_card_chargeCustomerFail")
        self.assertEqual((status, refused["error"]["code"]), (402, "card_declined"))
        document = self.assertProblem(self.confirm(intent_id), 409, "payment_not_completed")
        self.assertEqual(document["stripe_status"], "requires_payment_method")
        self.assertEqual(Voucher.objects.count(), 0)

    def test_what_is_given_back_there_in_parts_voids_as_many_vouchers(self):
        intent_id = self.start(price="12.50", currency="USD", quantity=3)
        self.pay(intent_id)
        self.assertEqual(self.confirm(intent_id).status_code, 200)
        paid = Transaction.objects.get()
        first, second, _ = Voucher.objects.order_by("pk")
        staff = make_user(is_staff=True)
        request = services.request_refund_by_staff(
            transaction_id=paid.pk, actor=staff, reason="Asked for", voucher_ids=[first.pk]
        )
        refund = services.approve_refund(refund_id=request.pk, actor=staff)
        self.assertEqual((refund.status, refund.amount), (RefundStatus.SUCCEEDED, Decimal("12.50")))
        _, there = ask(self.witness, "GET", f"/v1/refunds/{refund.stripe_refund_id}")
        self.assertEqual((there["amount"], there["currency"]), (1250, "usd"))
        self.assertEqual(there["metadata"], {"refund_id": str(refund.reference)})
        self.assertRefunded(paid, "12.50", [first])
        # One that we did not ask for, as in Stripe's dashboard.
        form = {"payment_intent": intent_id, "amount": 1250}
        _, theirs = ask(self.witness, "POST", "/v1/refunds", form)
        self.assertEqual(
            {row.id: row.amount for row in gateway.refunds_of(intent_id)},
            {refund.stripe_refund_id: Decimal("12.50"), theirs["id"]: Decimal("12.50")},
        )
        services.sync_refund(theirs["id"])
        self.assertRefunded(paid, "25.00", [first, second])

    def assertRefunded(self, paid, amount, vouchers):
        """So much of the payment is back, and these vouchers are void, no others."""
        paid.refresh_from_db()
        self.assertEqual((paid.amount_refunded, paid.amount_refunding), (Decimal(amount), 0))
        void = [voucher.pk for voucher in Voucher.objects.order_by("pk") if Hold.REFUNDED in voucher.held_for]
        self.assertEqual(void, [voucher.pk for voucher in vouchers])


def ask(base: str, method: str, path: str, form: dict[str, object] | None = None) -> tuple[int, Any]:
    """One call of the witness with a secret key: the status and the decoded answer."""
    return _answer(base, method, path, urlencode(form).encode() if form is not None else None)


def _answer(base: str, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
    request = urllib.request.Request(
        base + path, body, {"Authorization": "Bearer sk_test_local"}, method=method
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)


class _Relay(BaseHTTPRequestHandler):
    """Lets our application, which speaks 2026-10-28.endive, speak to the witness, which is older.

    Three things differ: the parameter for the methods of payment has another name, the witness takes no description
    and no words for the statement, and it does not sum up what its charges received.
    """

    witness = ""

    def relay(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).replace(b"allowed_payment_method_types", b"payment_method_types")
        body = b"&".join(
            part for part in body.split(b"&") if not part.startswith((b"description=", b"statement_"))
        )
        status, answer = _answer(self.witness, self.command, self.path, body or None)
        if answer.get("object") == "payment_intent":
            charges = answer["charges"]["data"]
            answer["amount_received"] = sum(c["amount"] for c in charges if c["status"] == "succeeded")
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = relay

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a path may hold a secret."""


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()
