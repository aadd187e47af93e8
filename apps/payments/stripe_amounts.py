"""Currencies at Stripe's border: how many minor units make one, and the least that can be charged.

Sources, as of 2026: Stripe's docs, "Supported currencies" (presentment currencies, zero-decimal currencies, minimum
charge amounts), and the list in which its API answers an unknown currency, which alone has GHS and the three-decimal
ones. Not every account may charge all of them.

Left out are ISK and UGX (whole units, sent as if they had a hundredth), HUF and TWD (paid out in whole units), and
those that were replaced and that Stripe still lists (ANG, BGN, HRK, SLL, STD …).
"""

from decimal import Decimal
from typing import Final

from apps.core.money import THREE_DECIMAL, ZERO_DECIMAL, decimal_places

from .errors import AmountTooLarge, AmountTooSmall, CurrencyNotSupported

TWO_DECIMAL: Final = frozenset(
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK"
    " DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG IDR ILS INR JMD KES KGS KHR KYD KZT LAK"
    " LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN"
    " QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TZS UAH USD UYU UZS WST XCD XCG YER"
    " ZAR ZMW".split()
)
SUPPORTED: Final = ZERO_DECIMAL | TWO_DECIMAL | THREE_DECIMAL
MAX_MINOR: Final = 99_999_999
# For an account that settles in the same currency; of others Stripe alone knows, and says so in its answer.
MINIMUM: Final = {
    currency: Decimal(amount)
    for currency, amount in (
        pair.split(":")
        for pair in (
            "USD:0.50 AED:2.00 ARS:0.50 AUD:0.50 BRL:0.50 CAD:0.50 CHF:0.50 COP:0.50 CZK:15.00 DKK:2.50 EUR:0.50"
            " GBP:0.30 HKD:4.00 IDR:0.50 ILS:0.50 INR:0.50 JPY:50 KRW:50 MXN:10.00 MYR:2.00 NOK:3.00 NZD:0.50"
            " PHP:0.50 PLN:2.00 RON:2.00 RUB:0.50 SEK:3.00 SGD:0.50 THB:10.00 ZAR:0.50"
        ).split()
    )
}


def exponent(currency: str) -> int:
    """Decimal places of the currency's minor unit. Raises CurrencyNotSupported."""
    if currency not in SUPPORTED:
        raise CurrencyNotSupported
    return decimal_places(currency)


def check_precision(amount: Decimal, currency: str) -> None:
    """Raises CurrencyNotSupported for a currency that we don't know, and for cents of one that has none."""
    minor = amount.scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        raise CurrencyNotSupported(f"{currency} has no minor unit; the price must be a whole number.")


def to_minor(amount: Decimal, currency: str) -> int:
    """The amount in minor units, checked against what Stripe charges.

    Raises CurrencyNotSupported (see check_precision), AmountTooSmall or AmountTooLarge.
    """
    minor = minor_of(amount, currency)
    if minor <= 0 or amount < MINIMUM.get(currency, Decimal(0)):
        raise AmountTooSmall
    if minor > MAX_MINOR:
        raise AmountTooLarge
    return minor


def minor_of(amount: Decimal, currency: str) -> int:
    """The amount in minor units. Raises CurrencyNotSupported (see check_precision)."""
    check_precision(amount, currency)
    return int(amount.scaleb(exponent(currency)))


def from_minor(minor: int, currency: str) -> Decimal:
    """The amount that so many minor units are. Raises CurrencyNotSupported."""
    return Decimal(minor).scaleb(-exponent(currency))
