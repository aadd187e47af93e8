"""Disputes: the buyer's bank takes a payment back, or asks about it."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from .transactions import Transaction

INQUIRY = "warning_"  # so begin the statuses at Stripe of a dispute that has taken no money
NEEDS_RESPONSE = ("needs_response", "warning_needs_response")


class DisputeOutcome(models.TextChoices):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class DisputeQuerySet(models.QuerySet["Dispute"]):
    def open_of(self, transaction: Any) -> "DisputeQuerySet":
        """Disputes and inquiries about a transaction (or a reference to one) that have not ended."""
        return self.filter(transaction=transaction, outcome=DisputeOutcome.OPEN)

    def blocking(self) -> "DisputeQuerySet":
        """Open disputes during which nothing can be refunded: all but inquiries (Stripe's docs, "Disputes")."""
        return self.filter(outcome=DisputeOutcome.OPEN).exclude(stripe_status__startswith=INQUIRY)

    def awaiting_response(self) -> "DisputeQuerySet":
        """Disputes and inquiries that the bank wants evidence about, those that are due first in front."""
        waiting = self.filter(outcome=DisputeOutcome.OPEN, stripe_status__in=NEEDS_RESPONSE)
        return waiting.order_by(F("respond_by").asc(nulls_last=True), "id")


class Dispute(models.Model):
    """The buyer's bank took a payment back, or asks about it. Open, it suspends; lost, it voids."""

    stripe_dispute_id = models.CharField(max_length=255, unique=True)
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="disputes")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    reason = models.CharField(max_length=100, blank=True)
    stripe_status = models.CharField(max_length=50)
    respond_by = models.DateTimeField(
        null=True, blank=True, help_text="Until when the bank takes evidence, as Stripe says."
    )
    outcome = models.CharField(max_length=4, choices=DisputeOutcome, default=DisputeOutcome.OPEN)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DisputeQuerySet.as_manager()

    class Meta:
        ordering = ("-opened_at", "-id")
        indexes: ClassVar = [
            models.Index(fields=("updated_at",), name="payments_disputes_by_change"),
            models.Index(fields=("closed_at",), name="payments_disputes_by_end"),
        ]
        constraints = (
            models.CheckConstraint(
                condition=Q(outcome=DisputeOutcome.OPEN, closed_at__isnull=True)
                | (Q(outcome__in=(DisputeOutcome.WON, DisputeOutcome.LOST)) & Q(closed_at__isnull=False)),
                name="payments_dispute_closed_if_decided",
            ),
        )

    def __str__(self) -> str:
        return f"Dispute of transaction {self.transaction_id}, {self.stripe_status}"

    @property
    def is_inquiry(self) -> bool:
        """Whether the bank only asks, and has taken no money."""
        return self.stripe_status.startswith(INQUIRY)
