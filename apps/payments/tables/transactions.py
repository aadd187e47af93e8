"""Purchases, and the vouchers issued for them."""

import uuid
from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
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
        permissions = (
            ("resend_receipt", "Can mail receipts again"),
            ("export_transaction", "Can export transactions to a file"),
        )
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
    def receipt_number(self) -> int | None:
        """The number of its receipt; None while it is unpaid, or where the receipt is still to be issued."""
        if not self.is_paid:
            return None
        try:
            return self.receipt.number
        except ObjectDoesNotExist:
            return None

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
