"""Refunds: requested here, or made in Stripe's dashboard."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from apps.core.index_operations import BlockRangeIndex
from apps.vouchers.models import Voucher

from .disputes import Dispute
from .transactions import Transaction


class RefundStatus(models.TextChoices):
    REQUESTED = "requested"
    APPROVED = "approved", "Approved, being sent"
    PENDING = "pending", "Pending at Stripe"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELED = "canceled"


UNDER_WAY = (RefundStatus.REQUESTED, RefundStatus.APPROVED, RefundStatus.PENDING)


class RefundOrigin(models.TextChoices):
    BUYER = "buyer"
    STAFF = "staff"
    STRIPE = "stripe", "Stripe's dashboard"
    AUTOMATIC = "automatic", "Automatic: the account was closed or deactivated before"


class RefundQuerySet(models.QuerySet["Refund"]):
    def under_way(self) -> "RefundQuerySet":
        """Requested refunds that have not ended: their vouchers are held."""
        return self.filter(status__in=UNDER_WAY)

    def waiting_to_be_sent(self) -> "RefundQuerySet":
        """Automatic refunds that nobody has to decide about, and that no dispute keeps from being sent."""
        waiting = self.filter(origin=RefundOrigin.AUTOMATIC, status=RefundStatus.REQUESTED)
        return waiting.exclude(transaction__in=Dispute.objects.blocking().values("transaction"))

    def failed_unacknowledged(self) -> "RefundQuerySet":
        """Refunds that failed, until another is for their vouchers or somebody says that it is settled.

        One that is for no vouchers waits until another of the payment is begun after it.
        """
        later = Refund.objects.filter(
            transaction=OuterRef("transaction"),
            pk__gt=OuterRef("pk"),
            status__in=(*UNDER_WAY, RefundStatus.SUCCEEDED),
        )
        refunded_again = RefundedVoucher.objects.filter(voucher=OuterRef("voucher"), live=True)
        # From the failed ones to their vouchers: the other way round, all vouchers ever refunded would be read.
        not_refunded = RefundedVoucher.objects.filter(
            ~Exists(refunded_again), refund__status=RefundStatus.FAILED, refund__acknowledged_at=None
        )
        return self.filter(
            ~Exists(later) | Q(pk__in=not_refunded.values("refund")),
            status=RefundStatus.FAILED,
            acknowledged_at=None,
        )

    def waiting_for_second_person(self) -> "RefundQuerySet":
        """Requests that somebody else than who asked has to approve."""
        return self.filter(status=RefundStatus.REQUESTED, needs_second_person=True)


class Refund(models.Model):
    """Money on its way back. `reference` names it to Stripe: as idempotency key and in its metadata."""

    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="refunds")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    status = models.CharField(max_length=10, choices=RefundStatus, default=RefundStatus.REQUESTED)
    origin = models.CharField(max_length=10, choices=RefundOrigin)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="refunds", null=True, blank=True
    )
    reason = models.CharField(max_length=200, blank=True)
    notes = models.TextField(max_length=2000, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_note = models.CharField(max_length=500, blank=True)
    stripe_refund_id = models.CharField(max_length=255, unique=True, null=True, blank=True)
    stripe_attempt = models.PositiveSmallIntegerField(
        default=1, db_default=1, editable=False, help_text="Numbers the idempotency key at Stripe."
    )
    failure_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    needs_second_person = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Above the set amount: who asked for it may not approve it.",
    )
    acknowledged_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When staff said of a failed refund that it is settled in another way.",
    )

    objects = RefundQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        permissions = (
            ("decide_refund", "Can approve and reject refunds, and send them again"),
            ("make_refund", "Can refund vouchers without a request of the buyer"),
            ("export_refund", "Can export refunds to a file"),
        )
        indexes: ClassVar = [
            models.Index(
                fields=("created_at",),
                condition=Q(status__in=UNDER_WAY),
                name="payments_refunds_under_way",
            ),
            models.Index(fields=("updated_at",), name="payments_refunds_by_change"),
            models.Index(fields=("status", "id"), name="payments_refunds_by_status"),
            models.Index(fields=("origin", "id"), name="payments_refunds_by_origin"),
            BlockRangeIndex(fields=("created_at",), name="payments_refunds_by_day"),
            models.Index(
                fields=("finished_at",),
                condition=Q(status=RefundStatus.SUCCEEDED),
                name="payments_refunds_paid",
            ),
            models.Index(
                fields=("finished_at",),
                condition=Q(status=RefundStatus.FAILED, acknowledged_at=None),
                name="payments_refunds_failed",
            ),
        ]
        constraints = (
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_refund_of_something"),
            models.CheckConstraint(
                condition=Q(status__in=RefundStatus.values), name="payments_refund_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=UNDER_WAY, finished_at__isnull=True)
                | (~Q(status__in=UNDER_WAY) & Q(finished_at__isnull=False)),
                name="payments_refund_finished_if_ended",
            ),
            # Who asked for it may take it back by rejecting it.
            models.CheckConstraint(
                condition=Q(needs_second_person=False)
                | Q(status=RefundStatus.REJECTED)
                | Q(decided_by__isnull=True)
                | Q(requested_by__isnull=True)
                | ~Q(decided_by=F("requested_by")),
                name="payments_refund_second_person",
            ),
        )

    def __str__(self) -> str:
        return f"Refund {self.pk} of {self.amount}, {self.status}"


class RefundedVoucher(models.Model):
    """Which vouchers a refund gives the money back for; `live` while it is under way or has succeeded."""

    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="lines", db_index=False)
    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="refund_lines")
    live = models.BooleanField(default=True)

    class Meta:
        ordering = ("refund", "voucher")
        constraints = (
            models.UniqueConstraint(fields=("refund", "voucher"), name="payments_refund_line_once"),
            models.UniqueConstraint(
                fields=("voucher",), condition=Q(live=True), name="payments_voucher_refunded_once"
            ),
        )

    def __str__(self) -> str:
        return f"Voucher {self.voucher_id} of refund {self.refund_id}"
