"""The events that Stripe sent."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class StripeEventQuerySet(models.QuerySet["StripeEvent"]):
    def waiting(self) -> "StripeEventQuerySet":
        """Events that were received and not yet applied, the least tried and oldest first."""
        return self.filter(processed_at=None).order_by("attempts", "received_at", "id")


class StripeEvent(models.Model):
    """An event that Stripe sent: a hint to look an object up. Its body is not kept: it holds client secrets."""

    stripe_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=255, db_index=True)
    received_at = models.DateTimeField(default=timezone.now)
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    objects = StripeEventQuerySet.as_manager()

    class Meta:
        ordering = ("-received_at", "-id")
        indexes: ClassVar = [
            models.Index(
                fields=("received_at",), condition=Q(processed_at=None), name="payments_events_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_id}"
