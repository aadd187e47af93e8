"""The gate before any figure: what may never happen does not happen, over HTTP against the running application.

Parallel redemptions of a code succeed as often as it has uses; what is sent again under its Idempotency-Key is done
once and answered with the same bytes; a payment that is confirmed in parallel issues its vouchers once; and the books
are in order afterwards.
"""

import json
import uuid
from collections.abc import Mapping
from http.client import HTTPConnection
from threading import Barrier, Thread
from typing import Any, Final

from .client import TIMEOUT, Answer, encoded, headers_of
from .data import RACE_USES
from .machine import Machine
from .opponents import Opponent, audit
from .scenarios import paid_intents

RACES: Final = 10
RACERS: Final = 16
KEYED: Final = 8
QUANTITY: Final = 3
REDEEM: Final = "/api/vouchers/redeem/"
CONFIRM: Final = "/api/payments/confirm-payment/"


class GateClosed(Exception):
    """The application did what may never happen: no figure of it counts."""


def check(machine: Machine, product: Opponent) -> list[str]:
    """What was tried and held, a line each. Raises GateClosed."""
    lines = [
        _one_use_each(product),
        _as_many_as_uses(product),
        _once_under_a_key(product),
        _issued_once(machine, product),
    ]
    audit(machine, product.database)
    return [*lines, "The audit of the books is clean."]


def overspending(opponent: Opponent) -> str:
    """How often codes of one use were redeemed in races, in words; for the twin, which does not guard against it."""
    number = sum(_redeemed(opponent, code, RACERS) for code in _take(opponent, RACES))
    verdict = "overspends" if number > RACES else "did not overspend this time"
    return f"{RACES} codes of one use were redeemed {number} times by {RACERS} at once: it {verdict}."


def _one_use_each(product: Opponent) -> str:
    for code in _take(product, RACES):
        _expect(_redeemed(product, code, RACERS), 1, "redemptions of a code of one use")
    return f"{RACES} codes of one use, each redeemed by {RACERS} at once: each once."


def _as_many_as_uses(product: Opponent) -> str:
    codes = product.data.race_codes[:3]
    for code in codes:
        _expect(
            _redeemed(product, code, 2 * RACE_USES), RACE_USES, f"redemptions of a code of {RACE_USES} uses"
        )
    return f"{len(codes)} codes of {RACE_USES} uses, each redeemed by {2 * RACE_USES} at once: each {RACE_USES} times."


def _once_under_a_key(product: Opponent) -> str:
    code = product.data.race_codes[3]
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body, token = {"code": code}, product.tokens["redeemer"]
    answers = parallel(product, KEYED, REDEEM, body, token, headers)
    answers += parallel(product, 1, REDEEM, body, token, headers)  # once there is an answer, it comes again
    bodies = {answer.body for answer in answers if answer.status == 200}
    _expect(len(bodies), 1, "different answers under one key")
    _expect({answer.status for answer in answers} <= {200, 409}, True, "only answers of 200 and 409")
    rest = _redeemed(product, code, 2 * RACE_USES)
    _expect(rest, RACE_USES - 1, "uses left after one use under a key")
    return f"{KEYED + 1} redemptions under one Idempotency-Key: one use, the same bytes."


def _issued_once(machine: Machine, product: Opponent) -> str:
    for intent in paid_intents(machine, product, QUANTITY, 3):
        answers = parallel(product, KEYED, CONFIRM, {"payment_intent_id": intent}, product.tokens["redeemer"])
        issued = {
            code
            for answer in answers
            if answer.status == 200
            for code in json.loads(answer.body)["voucher_codes"]
        }
        _expect(len(issued), QUANTITY, "vouchers of a payment that was confirmed in parallel")
    return f"3 payments of {QUANTITY} vouchers, each confirmed {KEYED} times at once: issued once."


def _redeemed(opponent: Opponent, code: str, racers: int) -> int:
    """How many of so many parallel redemptions succeeded. Raises GateClosed for an answer that says neither."""
    answers = parallel(opponent, racers, REDEEM, {"code": code}, opponent.tokens["redeemer"])
    if strange := [answer for answer in answers if answer.status not in (200, 400, 409)]:
        raise GateClosed(
            f"A redemption in a race was answered {strange[0].status}: {strange[0].body[:200]!r}"
        )
    return sum(answer.status == 200 for answer in answers)


def parallel(
    opponent: Opponent,
    number: int,
    path: str,
    body: Any,
    token: str,
    headers: Mapping[str, str] | None = None,
) -> list[Answer]:
    """The answers to so many equal POST requests, sent at one instant."""
    barrier, answers = Barrier(number), []

    def post() -> None:
        connection = HTTPConnection("127.0.0.1", opponent.server.port, timeout=TIMEOUT)
        try:
            barrier.wait(TIMEOUT)
            connection.request("POST", path, encoded(body), headers_of(body, token, headers))
            response = connection.getresponse()
            answers.append(Answer(response.status, {}, response.read()))
        except OSError as error:
            answers.append(Answer(0, {}, repr(error).encode()))
        finally:
            connection.close()

    threads = [Thread(target=post) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _take(opponent: Opponent, number: int) -> list[str]:
    assert opponent.pool is not None
    return opponent.pool.take(number)


def _expect(value: object, expected: object, what: str) -> None:
    if value != expected:
        raise GateClosed(f"{value} instead of {expected}: {what}.")
