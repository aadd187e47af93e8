"""Currencies at Stripe's border: how many minor units make one, and the least that can be charged.

Sources: Stripe's docs, "Supported currencies": zero-decimal and three-decimal currencies, minimum and
maximum charge amounts. Currencies with rules of their own (ISK, UGX, HUF, TWD) are left out.
"""

from decimal import Decimal
from typing import Final

from .errors import AmountTooLarge, AmountTooSmall, CurrencyNotSupported

ZERO_DECIMAL: Final = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
TWO_DECIMAL: Final = frozenset(
    "AED AUD BRL CAD CHF CNY CZK DKK EGP EUR GBP GHS HKD INR KES MAD MXN MYR NGN NOK NZD PHP PLN RON SAR SEK"
    " SGD THB TZS USD ZAR ZMW".split()
)
THREE_DECIMAL: Final = frozenset("BHD JOD KWD OMR TND".split())
MAX_MINOR: Final = 99_999_999
MINIMUM: Final = {
    currency: Decimal(amount)
    for currency, amount in (
        pair.split(":")
        for pair in (
            "USD:0.50 AED:2.00 AUD:0.50 BRL:0.50 CAD:0.50 CHF:0.50 CZK:15.00 DKK:2.50 EUR:0.50 GBP:0.30 HKD:4.00"
            " INR:0.50 JPY:50 MXN:10.00 MYR:2.00 NOK:3.00 NZD:0.50 PLN:2.00 RON:2.00 SEK:3.00 SGD:0.50 THB:10.00"
        ).split()
    )
}


def exponent(currency: str) -> int:
    """Decimal places of the currency's minor unit. Raises CurrencyNotSupported."""
    if currency in TWO_DECIMAL:
        return 2
    if currency in ZERO_DECIMAL:
        return 0
    if currency in THREE_DECIMAL:
        return 3
    raise CurrencyNotSupported


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


def shown(amount: Decimal, currency: str) -> str:
    """The amount as people read it, with as many places as its currency has: 1,250 JPY."""
    try:
        places = exponent(currency)
    except CurrencyNotSupported:
        places = 2
    if amount != round(amount, places):
        places = 2
    return f"{amount:,.{places}f}\N{NO-BREAK SPACE}{currency}"
