"""Who redeems the vouchers of the demo history, and when: some the same day, most within weeks, some never."""

from datetime import datetime, timedelta
from random import Random
from typing import Final

from apps.vouchers.models import Voucher

from .people import People, Person
from .timeline import Timeline

NEVER: Final = 0.16  # share of the vouchers that nobody redeems
SAME_DAY: Final = 0.45  # of the others
USED_BY_OTHERS: Final = 0.3  # share of the uses by somebody other than the owner
EXTENDED: Final = 0.08  # share of the vouchers that expire unused and that staff extend
SUSPENDED: Final = 0.004


def plan(
    timeline: Timeline, voucher: Voucher, owner: Person | None, people: People, issued: datetime
) -> None:
    """Plan the uses of a voucher, by its owner or others, and what staff do to it. Without an owner all are others."""
    random = timeline.random
    if random.random() < SUSPENDED:
        timeline.after(issued, (24, 24 * 30), lambda then: timeline.suspend_for_a_while([voucher], then))
    if random.random() < EXTENDED:
        timeline.at(
            voucher.expiry_date + timedelta(hours=random.uniform(10, 200)),
            lambda then: timeline.extend_by_staff(voucher, then),
        )
    if random.random() < NEVER:
        return
    moment = issued
    for _ in range(random.randint(1, voucher.total_uses)):
        moment += timedelta(hours=_wait(random))
        by = owner if owner and random.random() > USED_BY_OTHERS else people.draw(random, moment)
        if by is not None:
            timeline.at(moment, lambda then, by=by: timeline.use(voucher, by, then))  # type: ignore[misc]


def _wait(random: Random) -> float:
    """Hours until the next use."""
    return random.uniform(0.05, 8) if random.random() < SAME_DAY else random.expovariate(1 / (24 * 18)) + 8
