"""Purchases above Stripe's rate limit: none may be lost or completed twice, and the backlog has to go. See README.md.

A local Stripe refuses what goes above a rate of calls of one kind, as Stripe does (25 a second unless raised). Buyers
come faster, pay by card, and every second one confirms; the others close their browser, so that only Stripe's event
completes their purchase. All repeat what was refused, with the same Idempotency-Key, after as long as the answer says.
"""

import argparse
import json
import random
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import quantiles
from threading import Lock
from typing import Any, Final

from .client import Answer, Client
from .machine import Machine
from .opponents import audit, forget_mail, production_environment, start_product, with_product_data
from .processes import Program

BUYERS: Final = 240  # Stripe is called for one request of a buyer at a time
PATIENCE: Final = 240  # seconds after which a buyer goes away, and the backlog is not waited for any longer
GOAL: Final = 180  # seconds after the last buyer came until nothing waits
LOOK_EVERY: Final = 0.5  # seconds between two looks at what waits
KINDS: Final = (  # method and path of what Stripe counts apart
    ("POST", r"^/v1/payment_intents$"),
    ("GET", r"^/v1/payment_intents/[^/]+$"),
    ("GET", r"^/v1/refunds$"),
    ("GET", r"^/v1/disputes$"),
)
COUNTS: Final = """
    SELECT (SELECT count(*) FROM payments_transaction),
           (SELECT count(*) FROM payments_transaction WHERE status = 'completed'),
           (SELECT count(*) FROM payments_soldvoucher),
           (SELECT count(*) FROM payments_stripeevent WHERE processed_at IS NULL)
"""


@dataclass
class Ledger:
    """What the buyers saw."""

    answers: Counter[str] = field(default_factory=Counter)  # by request and status
    seconds: list[float] = field(default_factory=list)  # from a buyer's first request to the payment by card
    paid: set[str] = field(default_factory=set)  # payment intents
    gone: int = 0  # buyers whose patience ended
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True)
class Rows:
    """What the database has."""

    purchases: int
    completed: int
    vouchers: int
    waiting: int  # events


class Buyer:
    """One purchase of one voucher by a browser."""

    def __init__(self, ledger: Ledger, port: int, stripe: int, token: str) -> None:
        self._ledger, self._client, self._stripe, self._token = ledger, Client(port), stripe, token
        self._deadline = time.monotonic() + PATIENCE

    def buy(self, voucher_type: int, *, confirm: bool) -> None:
        """Start a purchase, pay, and confirm or leave. Never raises: the ledger has what happened."""
        began = time.monotonic()
        start = {"voucher_type_id": voucher_type, "quantity": 1}
        answer = self._until_done("create-payment-intent", start, {"Idempotency-Key": str(uuid.uuid4())})
        if answer is None:
            return
        intent = json.loads(answer.body)["payment_intent_id"]
        self._pay(intent)
        with self._ledger.lock:
            self._ledger.paid.add(intent)
            self._ledger.seconds.append(time.monotonic() - began)
        if confirm:
            self._until_done("confirm-payment", {"payment_intent_id": intent}, {})

    def _until_done(self, path: str, body: Any, headers: dict[str, str]) -> Answer | None:
        """The answer of success; None when the patience has ended."""
        while time.monotonic() < self._deadline:
            try:
                answer = self._client.call("POST", f"/api/payments/{path}/", body, self._token, headers)
            except OSError as error:
                status, wait = type(error).__name__, 1.0
            else:
                status, wait = str(answer.status), float(answer.headers.get("retry-after", 1))
                if answer.status in (200, 201):
                    self._count(path, status)
                    return answer
            self._count(path, status)
            time.sleep(wait * random.uniform(1, 1.5))
        with self._ledger.lock:
            self._ledger.gone += 1
        return None

    def _count(self, path: str, status: str) -> None:
        with self._ledger.lock:
            self._ledger.answers[f"{path} {status}"] += 1

    def _pay(self, intent: str) -> None:
        """As Stripe.js does, which has no part in our limit."""
        connection = HTTPConnection("127.0.0.1", self._stripe, timeout=60)
        headers = {
            "Authorization": "Bearer sk_test_bench",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        card = "payment_method=pm_card_visa"
        connection.request("POST", f"/v1/payment_intents/{intent}/confirm", card, headers)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{intent} was not paid: {response.read()[:200]!r}")
        connection.close()


def main() -> int:
    """Run the load and print what came of it; 1 if a purchase was lost or doubled, or the backlog stayed too long."""
    options = _options()
    machine = Machine()
    data = with_product_data(machine, "product", 10_000)
    # Stripe's events come without a proxy before us.
    product = start_product(machine, "product", data, None, SECURE_SSL_REDIRECT="False")
    assert product.stripe
    stripe = Client(product.stripe.port)
    env = production_environment(
        machine, "product", STRIPE_API_BASE=f"http://127.0.0.1:{product.stripe.port}", EMAIL_HOST="127.0.0.1"
    )
    webhook = {
        "url": f"http://127.0.0.1:{product.server.port}/api/payments/webhook/",
        "secret": env["STRIPE_WEBHOOK_SECRET"],
    }
    stripe.call("POST", "/_control/webhooks/endpoint", webhook).json(200)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "voucher_project",
        "worker",
        "--beat",
        "--concurrency",
        "2",
    ]
    command += ["--schedule", str(machine.home / "schedule")]
    worker = Program("worker", command, 0, machine.home / "worker.log", env)
    try:
        tokens = _sign_in(machine, product.client, data.password)
        for method, path in KINDS:
            limit = {"method": method, "path": path, "status": 429, "above_per_second": options.limit}
            stripe.call("POST", "/_control/faults", limit).json(200)
        before, ledger = _rows(machine), Ledger()
        began = time.monotonic()
        with ThreadPoolExecutor(1000) as pool:
            for number in range(options.rate * options.seconds):
                time.sleep(max(0.0, began + number / options.rate - time.monotonic()))
                buyer = Buyer(ledger, product.server.port, product.stripe.port, tokens[number % len(tokens)])
                pool.submit(buyer.buy, data.voucher_type, confirm=number % 2 == 0)
            ended = time.monotonic()
        backlog = _wait_for_backlog(machine, before, ledger, ended)
    finally:
        worker.stop()
    after = _rows(machine)
    forget_mail(machine, "product")
    audit(machine, "product")
    return _report(options, ledger, before, after, backlog)


def _wait_for_backlog(machine: Machine, before: Rows, ledger: Ledger, ended: float) -> float | None:
    """Seconds from the last buyer until all that was paid is completed and no event waits; None if never."""
    while time.monotonic() < ended + PATIENCE:
        now = _rows(machine)
        if not now.waiting and now.completed - before.completed == len(ledger.paid):
            return time.monotonic() - ended
        time.sleep(LOOK_EVERY)
    return None


def _report(
    options: argparse.Namespace, ledger: Ledger, before: Rows, after: Rows, backlog: float | None
) -> int:
    offered = options.rate * options.seconds
    completed, vouchers = after.completed - before.completed, after.vouchers - before.vouchers
    waits = quantiles(ledger.seconds, n=100)
    print(
        f"{options.rate} purchases a second for {options.seconds} s, Stripe takes {options.limit} of a kind"
    )
    for what, number in sorted(ledger.answers.items()):
        print(f"  {number:7,} {what}")
    print(f"  {offered:7,} buyers came, {len(ledger.paid):,} paid, {ledger.gone:,} went away")
    print(
        f"  {after.purchases - before.purchases:7,} purchases, {completed:,} completed, {vouchers:,} vouchers"
    )
    print(f"  {waits[49]:.1f} s until half had paid, {waits[94]:.1f} s until 95 % had")
    print(f"  {'never' if backlog is None else f'{backlog:.0f} s'} until nothing waited; the audit is clean")
    right = len(ledger.paid) == completed == vouchers and ledger.gone == 0
    return 0 if right and backlog is not None and backlog <= GOAL else 1


def _sign_in(machine: Machine, client: Client, password: str) -> list[str]:
    """Access tokens of so many people, who get a password for it."""
    connection = machine.connect("product")
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM users_user WHERE email = 'redeemer@bench.example'")
        (hashed,) = cursor.fetchone()
        cursor.execute(
            "UPDATE users_user SET password = %s WHERE id IN"
            " (SELECT id FROM users_user WHERE email LIKE 'person%%' ORDER BY id LIMIT %s) RETURNING email",
            [hashed, BUYERS],
        )
        addresses = [address for (address,) in cursor.fetchall()]
    connection.close()
    bodies = ({"email": address, "password": password} for address in addresses)
    answers = (client.call("POST", "/api/auth/login/", body).json(200) for body in bodies)
    return [answer["access"] for answer in answers]


def _rows(machine: Machine) -> Rows:
    connection = machine.connect("product")
    try:
        with connection.cursor() as cursor:
            cursor.execute(COUNTS)
            return Rows(*cursor.fetchone())
    finally:
        connection.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.stripe_limit", description=__doc__)
    parser.add_argument("--rate", type=int, default=60, help="buyers a second")
    parser.add_argument("--seconds", type=int, default=60, help="for how long they come")
    parser.add_argument("--limit", type=int, default=25, help="calls a second of one kind that Stripe takes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
