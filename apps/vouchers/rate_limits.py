"""Who is counted for codes that nobody has. How many, in which time: voucher_project/rate_limits.py."""

from apps.core.rate_limits import Counter, HasMeta, Refuses, per_network
from apps.users.models import User


def unknown_codes(request: HasMeta, user: User) -> tuple[Counter, ...]:
    """For a code that nobody has, though its check symbol is right. A typing mistake is no guess and not counted.

    The network's counters refuse only users who have such codes of their own in the window: nobody waits for what
    their neighbours do.
    """
    return (
        Counter("LIMIT_REDEEM_FAILURES_PER_ACCOUNT", str(user.pk)),
        *per_network("LIMIT_REDEEM_FAILURES_PER_NETWORK", request, refuses=Refuses.REPEATERS),
    )
