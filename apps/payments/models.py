"""Payments, the vouchers issued for them, and the events from Stripe.

A foreign key has no index of its own (`db_index=False`) where another index or a constraint begins with it.
"""

import uuid
from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Round
from django.utils import timezone

from apps.vouchers.models import Voucher, VoucherType, WithTypeName, currency_code


class TransactionStatus(models.TextChoices):
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUNDED = "refunded"


PAID = (TransactionStatus.COMPLETED, TransactionStatus.REFUNDED)


class TransactionQuerySet(models.QuerySet["Transaction"]):
    def owned_by(self, user: Any) -> "TransactionQuerySet":
        return self.filter(user=user)

    def paid(self) -> "TransactionQuerySet":
        """Transactions whose money arrived, also where some of it went back since."""
        return self.filter(status__in=PAID)


class Transaction(WithTypeName):
    """One purchase. `reference` names it to Stripe: as idempotency key of its creation and in its metadata.

    `type_name`, `service_type`, `validity_days` and `max_uses` are the terms of the sale, copied from the type when
    the buyer saw the price; the vouchers get these, whatever the type says by the time the money arrives. Who the
    buyer was is kept when the money arrives, for the receipt, and erased when they close their account.
    """

    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="transactions", db_index=False
    )
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="transactions")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3, default="USD", validators=[currency_code])
    service_type = models.SlugField(max_length=50, db_index=False)
    validity_days = models.PositiveIntegerField()
    max_uses = models.PositiveIntegerField()
    buyer_name = models.CharField(max_length=301, blank=True, default="", db_default="", editable=False)
    buyer_email = models.EmailField(blank=True, default="", db_default="", editable=False)
    status = models.CharField(
        max_length=10, choices=TransactionStatus, default=TransactionStatus.PENDING, db_index=True
    )
    stripe_payment_intent_id = models.CharField(max_length=255, unique=True, null=True, blank=True)
    stripe_attempt = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        editable=False,
        help_text="Numbers the idempotency key of its creation at Stripe.",
    )
    amount_refunded = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        default=0,
        help_text="What went back: refunds that succeeded, and disputes that were lost.",
    )
    amount_refunding = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        default=0,
        db_default=0,
        help_text="Refunds that were asked for and have not ended.",
    )
    amount_goodwill = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        default=0,
        db_default=0,
        help_text="What of the amount refunded no voucher is void for: less than a voucher's price.",
    )
    # How the limit of its network counted it, until that is given back: keyed digests, no address.
    start_counted = models.JSONField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    # The vouchers in the order of the lines, on the instance that has just issued them, until anything happens to them.
    just_issued: list[Voucher] | None = None

    objects = TransactionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes: ClassVar = [
            models.Index(fields=("user", "-created_at", "-id"), name="payments_of_user_by_time"),
            models.Index(fields=("completed_at",), name="payments_by_completion"),
        ]
        constraints = (
            models.CheckConstraint(condition=Q(quantity__gte=1), name="payments_quantity_one_or_more"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="payments_price_not_negative"),
            models.CheckConstraint(
                # Rounded because SQLite keeps decimals as floats.
                condition=Q(amount=Round(F("quantity") * F("unit_price"), precision=2)),
                name="payments_amount_is_quantity_times_price",
            ),
            models.CheckConstraint(
                # Rounded because SQLite keeps decimals as floats.
                condition=Q(
                    amount_refunded__gte=0,
                    amount_refunding__gte=0,
                    amount__gte=Round(F("amount_refunded") + F("amount_refunding"), precision=2),
                ),
                name="payments_refunded_within_amount",
            ),
            models.CheckConstraint(
                condition=~Q(status=TransactionStatus.REFUNDED) | Q(amount_refunded=F("amount")),
                name="payments_refunded_in_full",
            ),
            models.CheckConstraint(
                condition=Q(status__in=TransactionStatus.values), name="payments_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=PAID, completed_at__isnull=False)
                | (~Q(status__in=PAID) & Q(completed_at__isnull=True)),
                name="payments_completed_at_if_paid",
            ),
        )

    def __str__(self) -> str:
        return f"Transaction {self.pk}: {self.quantity} × {self.unit_price} {self.currency}, {self.status}"

    @property
    def is_paid(self) -> bool:
        return self.status in PAID

    @property
    def amount_left(self) -> Decimal:
        """What can still be refunded: neither went back nor is on its way."""
        return self.amount - self.amount_refunded - self.amount_refunding

    @property
    def vouchers(self) -> "models.QuerySet[Voucher]":
        """The vouchers that were issued for it, with their types, in the order of its lines."""
        return (
            Voucher.objects.filter(sale__transaction=self)
            .select_related("voucher_type")
            .order_by("sale__line_no")
        )


class SoldVoucher(models.Model):
    """Which voucher was issued for which line of which transaction: the last guard against issuing twice."""

    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="sold_vouchers", db_index=False
    )
    line_no = models.PositiveIntegerField()
    voucher = models.OneToOneField(Voucher, on_delete=models.PROTECT, related_name="sale")

    class Meta:
        ordering = ("transaction", "line_no")
        constraints = (
            models.UniqueConstraint(fields=("transaction", "line_no"), name="payments_sold_line_once"),
            models.CheckConstraint(condition=Q(line_no__gte=1), name="payments_sold_lines_from_one"),
        )

    def __str__(self) -> str:
        return f"Line {self.line_no} of transaction {self.transaction_id}"


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

    objects = RefundQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        permissions = (
            ("decide_refund", "Can approve and reject refunds, and send them again"),
            ("make_refund", "Can refund vouchers without a request of the buyer"),
        )
        indexes: ClassVar = [
            models.Index(
                fields=("created_at",),
                condition=Q(status__in=UNDER_WAY),
                name="payments_refunds_under_way",
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


INQUIRY = "warning_"  # so begin the statuses at Stripe of a dispute that has taken no money


class DisputeOutcome(models.TextChoices):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class DisputeQuerySet(models.QuerySet["Dispute"]):
    def blocking(self) -> "DisputeQuerySet":
        """Open disputes during which nothing can be refunded: all but inquiries (Stripe's docs, "Disputes")."""
        return self.filter(outcome=DisputeOutcome.OPEN).exclude(stripe_status__startswith=INQUIRY)


class Dispute(models.Model):
    """The buyer's bank took a payment back, or asks about it. Open, it suspends; lost, it voids."""

    stripe_dispute_id = models.CharField(max_length=255, unique=True)
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="disputes")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    reason = models.CharField(max_length=100, blank=True)
    stripe_status = models.CharField(max_length=50)
    outcome = models.CharField(max_length=4, choices=DisputeOutcome, default=DisputeOutcome.OPEN)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DisputeQuerySet.as_manager()

    class Meta:
        ordering = ("-opened_at", "-id")
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


class IdempotencyKey(models.Model):
    """A request that a client may send again: its key, what it started, and the first answer once there is one.

    Written in the database transaction of what it started. Until the answer is noted, `running_until` keeps a
    second such request waiting; when the process dies, that runs out and the next request takes over.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    # Nobody looks a key up by what it started.
    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    answer = models.JSONField(null=True, blank=True)
    running_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (models.UniqueConstraint(fields=("user", "key"), name="payments_idempotency_key_once"),)

    def __str__(self) -> str:
        return f"Idempotency key {self.pk} of user {self.user_id}"
