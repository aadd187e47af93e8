"""The buyer's journey, measured: see README.md beside this file. Standard library only."""

import argparse
import json
import statistics
import sys
import threading
import time
import uuid
from collections import defaultdict
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Client:
    """One connection to one server; remembers how long each named call took."""

    def __init__(self, base: str, times: dict[str, list[float]]) -> None:
        parts = urlsplit(base)
        if parts.hostname not in LOOPBACK:
            sys.exit(f"Only servers of this machine are measured, not {parts.hostname}.")
        self.connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
        self.prefix = parts.path
        self.times = times
        self.headers = {"Content-Type": "application/json"}

    def call(self, name: str, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        """The JSON answer; ends the program when it is not the expected one."""
        data = json.dumps(body) if body is not None and not isinstance(body, str) else body
        started = time.perf_counter()
        self.connection.request(method, self.prefix + path, data, self.headers)
        response = self.connection.getresponse()
        content = response.read()
        self.times[name].append(time.perf_counter() - started)
        if response.status != expect:
            sys.exit(f"{name}: {response.status} instead of {expect}: {content[:200]!r}")
        return json.loads(content)


def walk(api: Client, stripe: Client, rounds: int) -> None:
    """Register once; then look, buy, pay, confirm, redeem and list, `rounds` times."""
    person = {"email": f"{uuid.uuid4().hex}@example.com", "first_name": "Bench", "last_name": "Mark"}
    password = {"password": "a bench pass phrase", "password_confirm": "a bench pass phrase"}
    answer = api.call("register", "POST", "/auth/register/", {**person, **password}, 201)
    api.headers["Authorization"] = f"Bearer {answer['access']}"
    stripe.headers["Content-Type"] = "application/x-www-form-urlencoded"
    for _ in range(rounds):
        kind = api.call("types", "GET", "/vouchers/types/")[0]["id"]
        purchase = {"voucher_type_id": kind, "quantity": 2}
        secret = api.call("purchase", "POST", "/vouchers/purchase/", purchase, 201)["client_secret"]
        intent = secret.partition("_secret_")[0]
        form = {"key": "pk_test_local", "client_secret": secret, "payment_method": "pm_card_visa"}
        stripe.call("(pay)", "POST", f"/v1/payment_intents/{intent}/confirm", urlencode(form))
        confirmed = api.call("confirm", "POST", "/payments/confirm-payment/", {"payment_intent_id": intent})
        api.call("redeem", "POST", "/vouchers/redeem/", {"code": confirmed["voucher_codes"][0]})
        api.call("my-vouchers", "GET", "/vouchers/my-vouchers/")
        api.call("stats", "GET", "/vouchers/stats/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default="http://127.0.0.1:8000/api")
    parser.add_argument("--stripe", default="http://127.0.0.1:12111")
    parser.add_argument("--clients", type=int, default=8, choices=range(1, 65), metavar="1-64")
    parser.add_argument("--rounds", type=int, default=40, choices=range(1, 1001), metavar="1-1000")
    asked = parser.parse_args()
    times: dict[str, list[float]] = defaultdict(list)
    threads = [
        threading.Thread(
            target=walk, args=(Client(asked.api, times), Client(asked.stripe, times), asked.rounds)
        )
        for _ in range(asked.clients)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    print(f"{'step':<14}{'calls':>7}{'median ms':>11}{'p95 ms':>9}")
    for name, taken in times.items():
        ordered = sorted(taken)
        p95 = ordered[int(len(ordered) * 0.95)]
        print(f"{name:<14}{len(taken):>7}{statistics.median(taken) * 1000:>11.1f}{p95 * 1000:>9.1f}")
    print(f"{sum(map(len, times.values())) / seconds:.0f} requests per second by {asked.clients} clients")


if __name__ == "__main__":
    main()
