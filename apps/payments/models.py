"""What was paid, which vouchers were issued for it, and what Stripe told us."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Round
from django.utils import timezone

from apps.vouchers.models import Voucher, VoucherType, currency_code


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


class Transaction(models.Model):
    """One purchase. `reference` names it to Stripe: as idempotency key of its creation and in its metadata.

    `service_type`, `validity_days` and `max_uses` are the terms of the sale, copied from the type when the
    buyer saw the price; the vouchers get these, whatever the type says by the time the money arrives.
    """

    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="transactions")
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="transactions")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3, default="USD", validators=[currency_code])
    service_type = models.SlugField(max_length=50)
    validity_days = models.PositiveIntegerField()
    max_uses = models.PositiveIntegerField()
    status = models.CharField(
        max_length=10, choices=TransactionStatus, default=TransactionStatus.PENDING, db_index=True
    )
    stripe_payment_intent_id = models.CharField(max_length=255, unique=True, null=True, blank=True)
    amount_refunded = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    completed_at = models.DateTimeField(null=True, blank=True)

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
                condition=Q(amount_refunded__gte=0, amount_refunded__lte=F("amount")),
                name="payments_refunded_within_amount",
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
    def vouchers(self) -> "models.QuerySet[Voucher]":
        """The vouchers that were issued for it, with their types, in the order of its lines."""
        return (
            Voucher.objects.filter(sale__transaction=self)
            .select_related("voucher_type")
            .order_by("sale__line_no")
        )


class SoldVoucher(models.Model):
    """Which voucher was issued for which line of which transaction: the last guard against issuing twice."""

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="sold_vouchers")
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
