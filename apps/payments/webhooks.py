"""Stripe's events: received once, kept, and each handed to the service that knows what to do.

Duplicates and any order are normal: an event only says which object to fetch.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from django.db import InterfaceError, OperationalError
from django.db.models import F
from django.utils import timezone

from apps.core import leases
from apps.core.errors import UnavailableError

from . import gateway, services
from .errors import RateLimited
from .models import StripeEvent

log = logging.getLogger(__name__)

KEPT_FOR: Final = timedelta(days=90)  # Stripe sends an event again for 30 days at most
REMOVED_AT_ONCE: Final = 1000
BUDGET: Final = 50.0  # seconds for waiting events, of the minute after which the schedule begins again
BATCH: Final = 200
SILENCES: Final = 3  # one after the other, and Stripe is away; a single one may be the fault of one object
MOST_TEXT: Final = 200  # characters that the column of the outcome holds

HANDLERS: Final[Mapping[str, Callable[[str], services.SyncResult]]] = {
    "payment_intent.succeeded": services.sync_payment_intent,
    "payment_intent.processing": services.sync_payment_intent,
    "payment_intent.payment_failed": services.sync_payment_intent,
    "payment_intent.canceled": services.sync_payment_intent,
    "refund.created": services.sync_refund,
    "refund.updated": services.sync_refund,
    "refund.failed": services.sync_refund,
    "charge.refund.updated": services.sync_refund,
    "charge.refunded": services.sync_refunds_of_charge,
    "charge.dispute.created": services.sync_dispute,
    "charge.dispute.updated": services.sync_dispute,
    "charge.dispute.closed": services.sync_dispute,
    "charge.dispute.funds_withdrawn": services.sync_dispute,
    "charge.dispute.funds_reinstated": services.sync_dispute,
}


def receive(read_body: Callable[[], bytes], signature: str) -> StripeEvent | None:
    """Check, keep and apply one delivery; a delivery of an event that was applied changes nothing.

    Signed events that are none of ours to handle are dropped: None. Raises SignatureInvalid, or UnavailableError when
    the event can't be applied now, such as when Stripe does not answer about the object: it is kept, and both
    Stripe's next delivery and `apply_waiting` try again.
    """
    received = gateway.read_event(read_body, signature)
    if received is None or received.type not in HANDLERS:
        log.info("Stripe event dropped: %.100r", received.type if received else "no object to look up")
        return None
    event, _ = StripeEvent.objects.get_or_create(
        stripe_id=received.id, defaults={"type": received.type, "object_id": received.object_id}
    )
    if event.processed_at is None:
        _apply_or_keep_waiting(event)
    return event


def _apply_or_keep_waiting(event: StripeEvent) -> None:
    """Apply an event; whatever stands in the way is an UnavailableError, so that Stripe sends the event again."""
    try:
        apply(event)
    except (UnavailableError, OperationalError, InterfaceError):
        raise
    except Exception as error:
        log.exception("Stripe event %s could not be applied", event.stripe_id)
        raise UnavailableError from error


def apply(event: StripeEvent) -> None:
    """Do what the event asks for and note what came of it. Raises UnavailableError."""
    StripeEvent.objects.filter(pk=event.pk).update(attempts=F("attempts") + 1)
    handler = HANDLERS.get(event.type)
    event.outcome = _sentence(handler(event.object_id)) if handler else "nothing to do for this type"
    event.processed_at = timezone.now()
    event.save(update_fields=("outcome", "processed_at"))
    log.info("Stripe event %s (%s): %s", event.stripe_id, event.type, event.outcome)


def _sentence(result: services.SyncResult) -> str:
    """A result in a few words, for the log and the event's row."""
    match result.kind:
        case services.SyncKind.NOT_AT_STRIPE:
            return f"no such {result.detail[0]}"
        case services.SyncKind.MISMATCH:
            return "mismatch: nothing issued"
        case services.SyncKind.FOREIGN:
            return "not one of ours"
        case services.SyncKind.NO_REFUNDS:
            return "no refunds"
    return ", ".join(f"{result.kind.value} {row}" for row in result.detail)[:MOST_TEXT]


def apply_waiting(budget: float = BUDGET) -> int:
    """Apply events that an earlier attempt left waiting, the least tried first, until none is left; how many.

    Each is tried once. Ends early where `budget` seconds are over, where Stripe does not answer for several in a row,
    or where another process is at it and takes over.
    """
    with leases.try_acquire("waiting Stripe events") as lease:
        if lease is None:
            return 0
        try:
            return _apply_waiting(time.monotonic() + budget, lease)
        except leases.LeaseLost:
            return 0


def _apply_waiting(deadline: float, lease: leases.HeldLease) -> int:
    applied = silences = 0
    tried: set[int] = set()  # those that fail go to the end of the queue, and are not tried twice
    while batch := list(StripeEvent.objects.waiting().exclude(pk__in=tried)[:BATCH]):
        for event in batch:
            if time.monotonic() > deadline:
                log.warning("Stripe events: more are waiting than the time allowed for")
                return applied
            lease.renew()
            outcome = _try(event, deadline)
            if outcome is _Outcome.APPLIED:
                applied += 1
            else:
                tried.add(event.pk)
            silences = silences + 1 if outcome is _Outcome.UNAVAILABLE else 0
            if silences == SILENCES:
                return applied
    return applied


class _Outcome(Enum):
    APPLIED = "applied"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


def _try(event: StripeEvent, deadline: float, *, may_wait: bool = True) -> _Outcome:
    """Apply one event, once more where Stripe says when to come back and that is before `deadline`."""
    try:
        apply(event)
    except RateLimited as error:
        if not may_wait or time.monotonic() + error.retry_after >= deadline:
            return _Outcome.UNAVAILABLE
        time.sleep(error.retry_after)
    except UnavailableError:
        log.warning("Stripe event %s must wait: Stripe does not answer", event.stripe_id)
        return _Outcome.UNAVAILABLE
    except Exception:  # one bad event must not keep the others waiting
        log.exception("Stripe event %s could not be applied", event.stripe_id)
        return _Outcome.FAILED
    else:
        return _Outcome.APPLIED
    return _try(event, deadline, may_wait=False)


def remove_old_events(now: datetime) -> int:
    """Delete events that were applied long ago; how many. Those that wait are kept."""
    old = StripeEvent.objects.filter(processed_at__lt=now - KEPT_FOR).order_by("pk")
    deleted = 0
    while chunk := list(old.values_list("pk", flat=True)[:REMOVED_AT_ONCE]):
        deleted += StripeEvent.objects.filter(pk__in=chunk).delete()[0]
    return deleted
