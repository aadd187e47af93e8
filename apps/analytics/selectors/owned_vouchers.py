"""How many vouchers an owner had when the roll-up was counted last, for the list of their vouchers."""

from typing import Any

from apps.analytics.models import CountedOwner
from apps.vouchers.owned_counts import KeptNumber


def kept_number(owner: Any, now: Any) -> KeptNumber:
    """The number of an owner who is counted apart; not one that a wrong clock counted until a moment to come."""
    counted = CountedOwner.objects.filter(owner=owner, vouchers_until__lte=now)
    return KeptNumber(counted.values_list("vouchers"), counted.values_list("vouchers_until"))
