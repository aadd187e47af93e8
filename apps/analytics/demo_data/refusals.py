"""Refused redemptions of the demo history: mistyped and used codes on every busy day, the others now and then."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from random import Random
from typing import Final

from django.utils import timezone

from apps.vouchers.models import RefusalCount, VoucherUsage
from apps.vouchers.states import RefusalReason

# How many are refused for a reason, as a share of the uses that are made of the service on that day.
SHARES: Final = {
    RefusalReason.MISTYPED: 0.09,
    RefusalReason.USED_UP: 0.05,
    RefusalReason.UNKNOWN_CODE: 0.025,
    RefusalReason.OTHER_SERVICE: 0.02,
    RefusalReason.EXPIRED: 0.018,
    RefusalReason.REFUNDED: 0.006,
    RefusalReason.INVALID: 0.005,
    RefusalReason.DISPUTED: 0.002,
    RefusalReason.BY_STAFF: 0.002,
}
NO_VOUCHER: Final = frozenset({RefusalReason.MISTYPED, RefusalReason.UNKNOWN_CODE, RefusalReason.INVALID})
NO_SERVICE: Final = 0.3  # share of the requests that name none, where no voucher tells it either
GUESSING: Final = 0.01  # share of the days on which somebody guesses until the limit stops them


def make_refusals(random: Random, usages: Iterable[VoucherUsage]) -> list[RefusalCount]:
    """The counts of refusals around these uses, by day, service and reason."""
    uses = Counter((timezone.localdate(usage.used_at), usage.service_type) for usage in usages)
    numbers: Counter[tuple[date, str, str]] = Counter()
    for (day, service), number in sorted(uses.items()):
        for reason, share in SHARES.items():
            for _ in range(number):
                if random.random() < share:
                    is_unnamed = reason in NO_VOUCHER and random.random() < NO_SERVICE
                    numbers[day, "" if is_unnamed else service, reason.value] += 1
    for day in sorted({day for day, _ in uses}):
        if random.random() < GUESSING:
            numbers[day, "", RefusalReason.UNKNOWN_CODE.value] += 30
            numbers[day, "", RefusalReason.RATE_LIMITED.value] += random.randint(5, 200)
    return [
        RefusalCount(day=day, service_type=service, reason=reason, number=number)
        for (day, service, reason), number in sorted(numbers.items())
    ]
