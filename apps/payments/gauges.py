"""What payments has Prometheus read: Stripe's events that wait."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db.models import Count, Min

from apps.core.metrics import Gauge, Reader, Reading

from .models import StripeEvent

MOST_COUNTED: Final = 10_000
WAITING: Final = Gauge(
    "webhook_events_waiting", f"Stripe's events that were not applied yet, up to {MOST_COUNTED}."
)
AGE: Final = Gauge(
    "webhook_oldest_event_seconds",
    "Age of the oldest event of Stripe's that was not applied yet; 0: none waits.",
)


def _events(now: datetime) -> Iterable[Reading]:
    oldest = StripeEvent.objects.filter(processed_at=None).order_by("received_at")  # as their index has them
    figures = oldest.values("received_at")[:MOST_COUNTED].aggregate(
        number=Count("*"), oldest=Min("received_at")
    )
    age = (now - figures["oldest"]).total_seconds() if figures["oldest"] else 0.0
    yield Reading(WAITING, figures["number"])
    yield Reading(AGE, max(0.0, age))


READER: Final = Reader("webhook", (WAITING, AGE), _events)
