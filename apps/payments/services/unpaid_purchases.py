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
from django.db.models import QuerySet
from django.utils import timezone

from apps.core import rate_limits
from apps.core.errors import TooManyAttempts
from apps.payments.models import PAID, Transaction
from apps.users.models import User

log = logging.getLogger(__name__)

PER_ACCOUNT: Final = "LIMIT_UNPAID_PURCHASES_PER_ACCOUNT"
# How long a start counts that has no payment intent: after that it was Stripe that failed, and not the buyer.
UNANSWERED: Final = timedelta(seconds=30)


def unpaid_starts(user_id: Any, *, since: Any, answered_since: Any) -> QuerySet[Transaction]:
    """The purchases that a user has started after `since` and not paid.

    Those without a payment intent count if they were started after `answered_since`, which is `now - UNANSWERED`.
    """
    started = Transaction.objects.filter(user=user_id, created_at__gt=since).exclude(status__in=PAID)
    return started.exclude(stripe_payment_intent_id=None, created_at__lt=answered_since)


def limit_of(user: User) -> int:
    """How many purchases the user may start and leave unpaid."""
    return _rate_of(user)[0]


def window(user: User) -> dict[str, Any]:
    """The times that `unpaid_starts` takes by their names, aware datetimes, for the limit as it is now."""
    _, seconds = _rate_of(user)
    now = timezone.now()
    return {"since": now - timedelta(seconds=seconds), "answered_since": now - UNANSWERED}


def count_start(
    *, user: User, unpaid: int, network: tuple[rate_limits.Counter, ...]
) -> dict[str, Any] | None:
    """Count a purchase that is about to be recorded, on the counters of its network too; what of it is kept in the row.

    `unpaid` is how many `unpaid_starts` there are, up to the limit. The caller has counted them under the lock of the
    user's row, so that of any number at once no more than the limit get past. A network at its limit refuses only
    accounts that have unpaid purchases of their own. Raises TooManyAttempts.
    """
    if not settings.RATE_LIMITS_ENABLED:
        return None
    most, seconds = _rate_of(user)
    if unpaid >= most:
        log.warning("Limit reached: %s", PER_ACCOUNT)
        started = unpaid_starts(user.pk, **window(user)).order_by("-created_at", "-pk")
        times = list(started.values_list("created_at", flat=True)[:most])
        wait = times[-1] + timedelta(seconds=seconds) - timezone.now() if times else timedelta()
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


def _rate_of(user: User) -> tuple[int, int]:
    """How many starts of a user may be unpaid, of those in how many seconds."""
    return rate_limits.Counter(PER_ACCOUNT, str(user.pk)).rate
