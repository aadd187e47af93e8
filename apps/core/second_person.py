"""The second person: what is above a set amount is decided about by somebody else than who asked for it.

Also called dual control, or the four-eyes principle. The amounts are settings, by currency and in its usual unit.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from apps.core.errors import ConflictError

AmountLimits = Mapping[str, Decimal]


class SecondPersonNeeded(ConflictError):
    code = "second_person_needed"
    detail = "This is above the amount that one person may decide about. Somebody else has to approve it."


def is_needed(limits: AmountLimits, amounts: Iterable[tuple[Decimal, str]]) -> bool:
    """Whether one of the amounts, each with its currency, is above its limit.

    Without any limits none is. With some, a currency that has none needs a second person for every amount.
    """
    if not limits:
        return False
    return any(currency not in limits or amount > limits[currency] for amount, currency in amounts)
