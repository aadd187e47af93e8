"""How many purchases may be started and left unpaid, by an account and from a network. See decision 4.

An account's are its rows: what is paid counts no more, in whichever process that happens. A network has counters, which
get each start back when it is paid.
"""

import logging
import math
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db import transaction as database
from django.utils import timezone

from apps.core import rate_limits
from apps.core.errors import TooManyAttempts
from apps.payments.models import PAID, Transaction
from apps.users.models import User

log = logging.getLogger(__name__)

PER_ACCOUNT: Final = "LIMIT_UNPAID_PURCHASES_PER_ACCOUNT"
# How long a start counts that has no payment intent: after that it was Stripe that failed, and not the buyer.
UNANSWERED: Final = timedelta(seconds=30)


def count_start(*, user: User, network: tuple[rate_limits.Counter, ...]) -> dict[str, Any] | None:
    """Count a purchase that is about to be recorded, on the counters of its network too; what of it is kept in the row.

    The caller holds the lock of the user's row, so that of any number at once no more than the limit get past. A
    network at its limit refuses only accounts that have unpaid purchases of their own. Raises TooManyAttempts.
    """
    if not settings.RATE_LIMITS_ENABLED:
        return None
    most, seconds = rate_limits.Counter(PER_ACCOUNT, str(user.pk)).rate
    now, window = timezone.now(), timedelta(seconds=seconds)
    started = Transaction.objects.filter(user=user, created_at__gt=now - window).exclude(status__in=PAID)
    started = started.exclude(stripe_payment_intent_id=None, created_at__lt=now - UNANSWERED)
    unpaid = list(started.order_by("-created_at", "-pk").values_list("created_at", flat=True)[:most])
    if len(unpaid) >= most:
        log.warning("Limit reached: %s", PER_ACCOUNT)
        wait = unpaid[-1] + window - now
        raise TooManyAttempts(retry_after=max(1, math.ceil(wait.total_seconds())))
    try:
        hits = rate_limits.hit(*network)
    except TooManyAttempts:
        if unpaid:
            raise
        return None
    return {"keys": hits.keys, "windows": hits.windows}


def uncount_start(started: Transaction) -> None:
    """Give a start, whose row the caller has locked and saves, back to its network once that has committed."""
    counted, started.start_counted = started.start_counted, None
    if counted:
        hits = rate_limits.Hits(tuple(counted["keys"]), tuple(counted["windows"]))
        database.on_commit(partial(rate_limits.undo, hits), robust=True)
