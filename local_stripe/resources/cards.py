"""Stripe's test cards and test payment methods (docs, page "Testing")."""

from __future__ import annotations

import time

from local_stripe.protocol.errors import StripeError
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import Decline, TestCard
from local_stripe.runtime.state import now

GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
INSUFFICIENT_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LOST = Decline("card_declined", "lost_card", "Your card was declined.")
STOLEN = Decline("card_declined", "stolen_card", "Your card was declined.")
EXPIRED = Decline("expired_card", None, "Your card has expired.")
INCORRECT_CVC = Decline("incorrect_cvc", None, "Your card's security code is incorrect.")
PROCESSING_ERROR = Decline(
    "processing_error", None, "An error occurred while processing your card. Try again in a little bit."
)
NOT_A_TEST_CARD = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid "
    "test cards, visit: https://stripe.com/docs/testing.",
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

BY_NUMBER = {
    "4242424242424242": TestCard("visa", "4242"),
    "4000056655665556": TestCard("visa", "5556"),
    "5555555555554444": TestCard("mastercard", "4444"),
    "378282246310005": TestCard("amex", "0005"),
    "6011111111111117": TestCard("discover", "1117"),
    "4000000000000002": TestCard("visa", "0002", GENERIC),
    "4000000000009995": TestCard("visa", "9995", INSUFFICIENT_FUNDS),
    "4000000000009987": TestCard("visa", "9987", LOST),
    "4000000000009979": TestCard("visa", "9979", STOLEN),
    "4000000000000069": TestCard("visa", "0069", EXPIRED),
    "4000000000000127": TestCard("visa", "0127", INCORRECT_CVC),
    "4000000000000119": TestCard("visa", "0119", PROCESSING_ERROR),
    "4000000000003220": TestCard("visa", "3220", authentication=True),
    "4000002760003184": TestCard("visa", "3184", authentication=True),
    "4000008260003178": TestCard("visa", "3178", INSUFFICIENT_FUNDS, authentication=True),
    "4000008400001629": TestCard("visa", "1629", GENERIC, authentication=True),
    "4000000000007726": TestCard("visa", "7726", refund="pending"),
    "4000000000005126": TestCard("visa", "5126", refund="succeeded"),
    "4000000000000259": TestCard("visa", "0259", dispute="fraudulent"),
    "4000000000002685": TestCard("visa", "2685", dispute="product_not_received"),
    "4000000000001976": TestCard("visa", "1976", dispute="inquiry"),
}

_DECLINING = {
    "chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
}

BY_NAME = {
    "pm_card_visa": BY_NUMBER["4242424242424242"],
    "pm_card_visa_debit": BY_NUMBER["4000056655665556"],
    "pm_card_mastercard": BY_NUMBER["5555555555554444"],
    "pm_card_amex": BY_NUMBER["378282246310005"],
    "pm_card_discover": BY_NUMBER["6011111111111117"],
    "pm_card_threeDSecure2Required": BY_NUMBER["4000000000003220"],
    "pm_card_authenticationRequired": BY_NUMBER["4000002760003184"],
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": BY_NUMBER["4000008260003178"],
    "pm_card_pendingRefund": BY_NUMBER["4000000000007726"],
    "pm_card_refundFail": BY_NUMBER["4000000000005126"],
    "pm_card_createDispute": BY_NUMBER["4000000000000259"],
    "pm_card_createDisputeProductNotReceived": BY_NUMBER["4000000000002685"],
    "pm_card_createDisputeInquiry": BY_NUMBER["4000000000001976"],
    # Not Stripe's: stands for every method whose money arrives days later.
    "pm_local_processing": TestCard("visa", "0000", delayed=True),
    **{f"pm_card_{name}": BY_NUMBER[number] for name, number in _DECLINING.items()},
    **{f"pm_card_visa_{name}": BY_NUMBER[number] for name, number in _DECLINING.items()},
}


def card_of(details: JsonDict) -> TestCard:
    """The test card with this ``number``, ``exp_month``, ``exp_year``, ``cvc``.

    Raises StripeError (402, as Stripe does) for a mistyped number, a bad expiry or a bad security code. A
    number that could be a real card's is accepted here and declined when charged.
    """
    number = str(details["number"]).replace(" ", "").replace("-", "")
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19 and _luhn(number)):
        raise _refused("incorrect_number", "Your card number is incorrect.", "number")
    month, year = details["exp_month"], details["exp_year"]
    if not 1 <= month <= 12:
        raise _refused("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    year = year + 2000 if year < 100 else year
    this_year, this_month = _today()
    if not this_year <= year <= this_year + 50:
        raise _refused("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    if (year, month) < (this_year, this_month):
        raise _refused("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    cvc = details.get("cvc", "123")
    if not (cvc.isascii() and cvc.isdigit() and 3 <= len(cvc) <= 4):
        raise _refused("invalid_cvc", "Your card's security code is invalid.", "cvc")
    return BY_NUMBER.get(number, TestCard("unknown", number[-4:], NOT_A_TEST_CARD))


def _refused(code: str, message: str, param: str) -> StripeError:
    return StripeError(402, message, type="card_error", code=code, param=param)


def _luhn(number: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number)))
    return sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0


def _today() -> tuple[int, int]:
    today = time.gmtime(now())
    return today.tm_year, today.tm_mon
