"""Money as people read it, everywhere in one spelling: 10.00 USD, 1,250 JPY."""

from decimal import Decimal
from typing import Final

# By the places of their minor unit, where it has not two.
ZERO_DECIMAL: Final = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
THREE_DECIMAL: Final = frozenset("BHD JOD KWD OMR TND".split())


def decimal_places(currency: str) -> int:
    """The places of a currency's minor unit; two for one that is not listed here."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def round_to_currency(amount: Decimal, currency: str) -> Decimal:
    """The amount with as many places as its currency has, or two where it has a fraction that these don't hold."""
    rounded = round(amount, decimal_places(currency))
    return rounded if rounded == amount else round(amount, 2)


def format_amount(amount: Decimal, currency: str) -> str:
    """The amount as `round_to_currency` has it, with its currency."""
    return f"{round_to_currency(amount, currency):,f}\N{NO-BREAK SPACE}{currency}"
