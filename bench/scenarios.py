"""The scenarios: which requests are sent, and what has to be there before."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from threading import Thread
from typing import Any, Final
from urllib.parse import urlencode

from .client import Client, raw_request
from .data import PAYERS
from .load import ANSWER_WITHIN, Load, LoadFailed, drive
from .machine import Machine
from .opponents import FLOORS, PRODUCT, WITH_LIMITS, A, B, Opponent

EVERYBODY: Final = (PRODUCT, B, A)
LIST: Final = "/api/vouchers/my-vouchers/"
CODES_A_SECOND: Final = 2_500  # more than anybody redeems in a second
FIRST_GUESS: Final = 400  # confirmations a second, until one was measured
CARDS: Final = 4  # payments at the same time

Requests = Callable[[Machine, Opponent, Load], list[bytes]]


@dataclass(frozen=True)
class Scenario:
    """What is sent, to whom, and the status that it has to get. `once`: no request may be sent twice.

    `when_quiet`: measured before anything else, when nothing happens that the figures have to be brought up to.
    """

    name: str
    title: str
    requests: Requests
    status: int = 200
    once: bool = False
    when_quiet: bool = False
    opponents: tuple[str, ...] = EVERYBODY


def _same(
    method: str, path: str, person: str = "", body: Callable[[Opponent], Any] | None = None
) -> Requests:
    """One request, sent again and again; `{detail_code}` in the path is the code of a voucher of buyer20."""

    def requests(machine: Machine, opponent: Opponent, load: Load) -> list[bytes]:
        token = opponent.tokens[person] if person else ""
        address = path.format(detail_code=opponent.data.detail_code)
        content = body(opponent) if body else None
        return [raw_request(method, address, content, token, keep_alive=load.keep_alive)]

    return requests


def _not_modified(machine: Machine, opponent: Opponent, load: Load) -> list[bytes]:
    """The catalogue, by a client that has it already."""
    tag = opponent.client.call("GET", "/api/vouchers/types/").headers["etag"]
    headers = {"If-None-Match": tag}
    return [raw_request("GET", "/api/vouchers/types/", headers=headers, keep_alive=load.keep_alive)]


def _redeem(*, keyed: bool = False, path: str = "/api/vouchers/redeem/") -> Requests:
    """A new code with each request, and a new key if it has one."""

    def requests(machine: Machine, opponent: Opponent, load: Load) -> list[bytes]:
        assert opponent.pool is not None
        return [
            raw_request(
                "POST",
                path,
                {"code": code},
                opponent.tokens["redeemer"],
                {"Idempotency-Key": str(uuid.uuid4())} if keyed else None,
                keep_alive=load.keep_alive,
            )
            for code in opponent.pool.take(CODES_A_SECOND * load.seconds)
        ]

    return requests


def _ideal_redeem(machine: Machine, opponent: Opponent, load: Load) -> list[bytes]:
    """The floor's redemption: distinct codes of many uses, so that none of the product's codes is spent."""
    token = opponent.tokens["redeemer"]
    return [
        raw_request("POST", "/api/vouchers/redeem/", {"code": code}, token, keep_alive=load.keep_alive)
        for code in opponent.data.many_codes
    ]


def _create(machine: Machine, opponent: Opponent, load: Load) -> list[bytes]:
    """A purchase by one of many people in turn: those of one person wait for each other."""
    body = {"voucher_type_id": opponent.data.voucher_type, "quantity": 1}
    path = "/api/payments/create-payment-intent/"
    return [
        raw_request("POST", path, body, opponent.tokens[payer], keep_alive=load.keep_alive)
        for payer in PAYERS
    ]


def _confirm(name: str, quantity: int) -> Requests:
    """A paid payment intent of so many vouchers with each request."""

    def requests(machine: Machine, opponent: Opponent, load: Load) -> list[bytes]:
        rate = opponent.rates.get(name, FIRST_GUESS / quantity**0.5)
        intents = paid_intents(machine, opponent, quantity, int(2 * rate * load.seconds) + 20)
        return [
            raw_request(
                "POST",
                "/api/payments/confirm-payment/",
                {"payment_intent_id": intent},
                opponent.tokens["redeemer"],
                keep_alive=load.keep_alive,
            )
            for intent in intents
        ]

    return requests


def paid_intents(machine: Machine, opponent: Opponent, quantity: int, number: int) -> list[str]:
    """The ids of about so many payment intents that were created through the application, and paid at its Stripe."""
    assert opponent.stripe is not None
    stripe = opponent.stripe.port
    Client(stripe).call("POST", "/_control/reset", {}).json(200)
    create = raw_request(
        "POST",
        "/api/payments/create-payment-intent/",
        {"voucher_type_id": opponent.data.voucher_type, "quantity": quantity},
        opponent.tokens["redeemer"],
    )
    intents: list[str] = []
    for _ in range(5):
        drive(opponent.server.port, [create], Load(connections=8, seconds=1), machine.home)
        intents = _intents(stripe)
        if len(intents) >= number:
            break
    if not intents:
        raise LoadFailed("No payment intent was created.")
    _pay(stripe, intents[:number])
    return intents[:number]


def _intents(port: int) -> list[str]:
    """The ids of all payment intents of a Stripe."""
    headers = {"Authorization": "Bearer sk_test_bench"}
    ids: list[str] = []
    while True:
        query = urlencode({"limit": 100, **({"starting_after": ids[-1]} if ids else {})})
        page = Client(port).call("GET", f"/v1/payment_intents?{query}", headers=headers).json(200)
        ids += [intent["id"] for intent in page["data"]]
        if not page["has_more"]:
            return ids


def _pay(port: int, intents: list[str]) -> None:
    """Pay each by card, a few at a time. Raises LoadFailed if one is not paid."""
    failures: list[str] = []

    def pay(mine: list[str]) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {
            "Authorization": "Bearer sk_test_bench",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        for intent in mine:
            connection.request(
                "POST", f"/v1/payment_intents/{intent}/confirm", "payment_method=pm_card_visa", headers
            )
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                failures.append(f"{intent}: {response.status} {body[:200]!r}")
        connection.close()

    threads = [Thread(target=pay, args=(intents[start::CARDS],)) for start in range(CARDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise LoadFailed(f"{len(failures)} payments failed: {failures[0]}")


def _credentials(opponent: Opponent) -> dict[str, str]:
    return {"email": opponent.data.buyer20, "password": opponent.data.password}


def _refresh(opponent: Opponent) -> dict[str, str]:
    return {"refresh": opponent.refresh_token}


def _hot(opponent: Opponent) -> dict[str, str]:
    return {"code": opponent.data.hot_code}


REDEEM: Final = "/api/vouchers/redeem/"
OWN: Final = "/api/analytics/user/"
PLATFORM: Final = "/api/analytics/dashboard/"
SCENARIOS: Final = (
    Scenario("types", "voucher types", _same("GET", "/api/vouchers/types/")),
    Scenario("types-304", "voucher types, not modified", _not_modified, 304, opponents=(PRODUCT,)),
    Scenario("redeem", "redeem, distinct codes", _redeem(), once=True),
    Scenario("redeem-hot", "redeem, one hot code", _same("POST", REDEEM, "redeemer", _hot)),
    Scenario("redeem-key", "redeem with Idempotency-Key", _redeem(keyed=True), once=True),
    Scenario("redeem-limits", "redeem with limits on Redis", _redeem(), once=True, opponents=(WITH_LIMITS,)),
    Scenario("my-vouchers-20", "my vouchers, 20 owned", _same("GET", LIST, "buyer20")),
    Scenario("my-vouchers-100k", "my vouchers, 100,000 owned", _same("GET", LIST, "buyer100k")),
    Scenario("detail", "voucher detail", _same("GET", "/api/vouchers/detail/{detail_code}/", "buyer20")),
    Scenario("create", "create-payment-intent", _create, 201),
    Scenario("confirm-1", "confirm, 1 voucher", _confirm("confirm-1", 1), once=True),
    Scenario("confirm-10", "confirm, 10 vouchers", _confirm("confirm-10", 10), once=True),
    Scenario("history", "payment history", _same("GET", "/api/payments/history/", "buyer20")),
    Scenario("stats", "voucher stats", _same("GET", "/api/vouchers/stats/", "buyer20")),
    *(
        Scenario(name, title, _same("GET", path, person), when_quiet=True)
        for name, title, path, person in (
            ("dashboard", "personal dashboard", OWN, "buyer20"),
            ("dashboard-100k", "personal dashboard, 100,000 owned", OWN, "buyer100k"),
            ("platform", "platform dashboard", PLATFORM, "staff"),
            ("platform-366", "platform dashboard, 366 days", f"{PLATFORM}?days=366", "staff"),
        )
    ),
    Scenario(
        "platform-rush", "platform dashboard in a rush", _same("GET", PLATFORM, "staff"), opponents=(PRODUCT,)
    ),
    Scenario("login", "login", _same("POST", "/api/auth/login/", body=_credentials)),
    Scenario("refresh", "refresh", _same("POST", "/api/auth/refresh/", body=_refresh)),
    # A floor answers at every address: these are in the fast lane of the web process, as what they are compared with.
    Scenario("floor-bare", "bare WSGI", _same("GET", "/api/vouchers/types/"), opponents=("bare WSGI",)),
    Scenario(
        "floor-django", "a Django view", _same("GET", "/api/vouchers/types/"), opponents=("Django view",)
    ),
    Scenario(
        "floor-drf",
        "DRF, JWT, one query",
        _same("GET", "/api/vouchers/my-vouchers/", "redeemer"),
        opponents=("DRF view",),
    ),
    Scenario("floor-redeem", "DRF, JWT, redeem statement", _ideal_redeem, opponents=("DRF view",)),
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
FLOOR_SCENARIOS: Final = tuple(one.name for one in SCENARIOS if set(one.opponents) <= set(FLOORS))


def check_answer(scenario: Scenario, opponent: Opponent, raw: bytes) -> float:
    """Send one request of the scenario; how many seconds it took. Raises LoadFailed on another status than expected."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split()
    connection = HTTPConnection("127.0.0.1", opponent.server.port, timeout=ANSWER_WITHIN)
    began = time.monotonic()
    try:
        fields = dict(line.split(": ", 1) for line in lines)
        connection.request(method, path, body, {name: fields[name] for name in fields if name != "Host"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != scenario.status:
        said = f"; its log: {opponent.server.last_words()[-400:]}" if response.status >= 500 else ""
        raise LoadFailed(f"{response.status} instead of {scenario.status}: {content[:300]!r}{said}")
    return time.monotonic() - began
