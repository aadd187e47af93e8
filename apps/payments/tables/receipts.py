"""Receipts: the number and the words of each sale, as they were when it was completed."""

from django.db import models
from django.db.models import Q

from .transactions import Transaction


class Receipt(models.Model):
    """What the receipt of a paid transaction says, stored when it was completed.

    Numbers run from 1 without a gap, in the order in which they are drawn; see decision 14 on what a receipt keeps.
    An empty name of the buyer stands for one that was not kept, or that was erased when the account was closed; of a
    seller, for one that was not set: today's stands for it.
    """

    transaction = models.OneToOneField(Transaction, on_delete=models.PROTECT, related_name="receipt")
    number = models.PositiveBigIntegerField(unique=True)
    paid_at = models.DateTimeField()
    time_zone = models.CharField(max_length=63, help_text="In which the time of payment is printed.")
    shop_name = models.CharField(max_length=100)
    contact = models.CharField(max_length=200, blank=True)
    seller_name = models.CharField(max_length=200, blank=True)
    seller_address = models.CharField(max_length=500, blank=True)
    seller_tax_number = models.CharField(max_length=100, blank=True)
    buyer_name = models.CharField(max_length=301, blank=True)
    buyer_email = models.EmailField(blank=True)
    item = models.CharField(max_length=200, help_text="What the type was called.")
    detail = models.CharField(max_length=200, help_text="Its service, and the uses of each voucher.")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    tax_rate = models.DecimalField(
        max_digits=5, decimal_places=3, null=True, blank=True, help_text="In percent; the amount includes it."
    )
    tax_amount = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    code_endings = models.TextField(
        blank=True, help_text="The last four symbols of each voucher's code, with spaces between."
    )

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.CheckConstraint(condition=Q(number__gte=1), name="payments_receipts_from_one"),
            models.CheckConstraint(
                condition=Q(tax_rate__isnull=True, tax_amount__isnull=True)
                | Q(tax_rate__isnull=False, tax_amount__isnull=False),
                name="payments_receipt_tax_whole",
            ),
        )

    def __str__(self) -> str:
        return f"Receipt {self.number}"


class ReceiptCounter(models.Model):
    """The last number that a receipt has: one row, whose lock whoever draws a number holds until it is committed."""

    last_number = models.PositiveBigIntegerField()

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="payments_one_receipt_counter"),)

    def __str__(self) -> str:
        return f"{self.last_number} receipts"
