"""What payments count for Prometheus."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from apps.core.metrics import Counter, Histogram

from .errors import CallSlotsTaken, CallsPaused, PaymentProviderUnavailable, RateLimited

PURCHASE_STEPS: Final = ("started", "free", "paid", "failed", "mismatch", "paid_by_closed_account")
CALL_OUTCOMES: Final = ("ok", "rate_limited", "unavailable", "no_slot", "paused")

PURCHASES: Final = Counter(
    "purchases_total",
    "Steps of purchases: started, free (issued at once), paid, failed (given up), mismatch (another amount was paid),"
    " paid_by_closed_account. A step that the database takes back is counted all the same.",
    ("outcome",),
    zero=[(step,) for step in PURCHASE_STEPS],
)
STRIPE_CALLS: Final = Counter(
    "stripe_calls_total",
    "Calls to Stripe: ok (an answer that means something), rate_limited, unavailable (none, or one about our keys or"
    " our request); and those not sent: no_slot, paused.",
    ("outcome",),
    zero=[(outcome,) for outcome in CALL_OUTCOMES],
)
STRIPE_SECONDS: Final = Histogram("stripe_call_seconds", "How long calls to Stripe took, with their retry.")


@contextmanager
def measured_call() -> Iterator[None]:
    """Count the block as a call to Stripe, with its time, by the error that it raises."""
    started, outcome = time.monotonic(), "ok"
    try:
        yield
    except CallsPaused:
        outcome = "paused"
        raise
    except CallSlotsTaken:
        outcome = "no_slot"
        raise
    except RateLimited:
        outcome = "rate_limited"
        raise
    except PaymentProviderUnavailable:
        outcome = "unavailable"
        raise
    finally:
        STRIPE_CALLS.count(outcome)
        if outcome not in ("paused", "no_slot"):
            STRIPE_SECONDS.observe(time.monotonic() - started)
