"""What the price of a type on sale must be: whoever takes the money registers a check of its own.

So a price that nobody could pay is refused where it is set, and vouchers need to know nothing of money providers.
"""

from collections.abc import Callable
from decimal import Decimal

PriceCheck = Callable[[Decimal, str], None]

_checks: list[PriceCheck] = []


def register(check: PriceCheck) -> None:
    """Add a check of (price, currency), from the `ready` of an AppConfig. It raises a DomainError that says why not."""
    _checks.append(check)


def check(price: Decimal, currency: str) -> None:
    """Raises the DomainError of the first check that refuses this price of one voucher; a free one passes."""
    if price > 0:
        for each in _checks:
            each(price, currency)
