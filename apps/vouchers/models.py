"""What is sold, what was issued, and each use of it."""

import re
from datetime import datetime
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from apps.core.errors import DomainError
from apps.core.index_operations import BlockRangeIndex

from . import codes, price_checks, states
from .code_export_models import BatchExport as BatchExport
from .code_export_models import CodeExportRequest as CodeExportRequest
from .code_export_models import CodeExportStatus as CodeExportStatus
from .lookups import LastFour
from .refusal_models import RefusalCount as RefusalCount
from .refusal_models import RefusalWriter as RefusalWriter
from .states import Hold, InactiveReason, VoucherEventKind, VoucherStatus, status_condition
from .type_names import WithTypeName as WithTypeName

CURRENCY_CODE: Final = re.compile(r"^[A-Z]{3}\Z")
VIEW_VOUCHERS: Final = "vouchers.view_voucher"  # of others; one's own are everybody's to see
currency_code = RegexValidator(CURRENCY_CODE.pattern, "Three capital letters (ISO 4217).")


class VoucherTypeQuerySet(models.QuerySet["VoucherType"]):
    def on_sale(self) -> "VoucherTypeQuerySet":
        """Types that can be bought."""
        return self.filter(is_active=True)


class VoucherType(models.Model):
    """A service on sale. What it says is copied to each voucher at its sale; editing it changes none of them."""

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)
    price = models.DecimalField(
        max_digits=10, decimal_places=2, validators=[MinValueValidator(0)], help_text="0 is free."
    )
    currency = models.CharField(max_length=3, default="USD", validators=[currency_code])
    service_type = models.SlugField(
        max_length=50, db_index=False, help_text="What a voucher of this type is redeemed for."
    )
    is_active = models.BooleanField("on sale", default=True)
    validity_days = models.PositiveIntegerField(
        default=365, validators=[MinValueValidator(1), MaxValueValidator(36_500)]
    )
    max_uses = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(1_000_000)]
    )

    objects = VoucherTypeQuerySet.as_manager()

    class Meta:
        ordering = ("name", "id")
        permissions = (("withdraw_vouchertype", "Can withdraw services"),)
        constraints = (
            models.CheckConstraint(condition=Q(price__gte=0), name="vouchers_type_price_not_negative"),
            models.CheckConstraint(
                condition=Q(validity_days__gte=1), name="vouchers_type_valid_a_day_or_more"
            ),
            models.CheckConstraint(condition=Q(max_uses__gte=1), name="vouchers_type_used_once_or_more"),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a price that nobody could pay, as the purchase would. A type off sale may keep the one that it has."""
        if self.price is None or not CURRENCY_CODE.match(self.currency):
            return  # which the fields say for themselves
        if not (self.is_active or self._state.adding):
            return
        try:
            price_checks.check(self.price, self.currency)
        except DomainError as error:
            raise ValidationError({"price": error.detail}, code=error.code) from error


class Batch(WithTypeName):
    """Vouchers issued together for one owner, by staff and not by a purchase. Its terms are those of its start."""

    label = models.CharField(max_length=200, unique=True)
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="batches")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="batches")
    quantity = models.PositiveIntegerField(help_text="How many vouchers it shall have.")
    service_type = models.SlugField(max_length=50, db_index=False)
    face_value = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3)
    validity_days = models.PositiveIntegerField()
    max_uses = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    note = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="By which way, and by whom if by no staff.",
    )
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name_plural = "batches"
        permissions = (
            ("export_codes", "Can export the full codes of a batch"),
            ("hold_batch", "Can hold and release whole batches"),
            ("void_batch", "Can void whole batches"),
            ("reassign_batch", "Can give whole batches to another owner"),
        )
        constraints = (
            models.CheckConstraint(condition=Q(quantity__gte=1), name="vouchers_batch_of_one_or_more"),
            models.CheckConstraint(condition=Q(face_value__gte=0), name="vouchers_batch_value_not_negative"),
        )

    def __str__(self) -> str:
        return self.label


class VoucherQuerySet(models.QuerySet["Voucher"]):
    def owned_by(self, user: Any) -> "VoucherQuerySet":
        return self.filter(user=user)

    def redeemable(self, now: Any) -> "VoucherQuerySet":
        """Vouchers with a use left at `now`: a datetime, or a database expression for its own clock."""
        return self.filter(is_active=True, uses_remaining__gt=0, expiry_date__gt=now)

    def in_status(self, status: str, now: Any) -> "VoucherQuerySet":
        """Vouchers whose status at `now` is `status`."""
        return self.filter(status_condition(VoucherStatus(status), now))

    def read_with_clock(self, *, code: str) -> "Voucher | None":
        """The voucher with its type, and in `read_at` the database's time of reading."""
        return self.select_related("voucher_type").annotate(read_at=Now()).filter(code=code).first()  # type: ignore[no-redef]


class Voucher(WithTypeName):
    """One code: so many uses, until a date, for one service."""

    code = models.CharField(max_length=codes.LENGTH, unique=True, editable=False)
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="vouchers")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="vouchers",
        verbose_name="owner",
        db_index=False,  # two indexes below begin with it
    )
    service_type = models.SlugField(max_length=50, editable=False, db_index=False)
    face_value = models.DecimalField(max_digits=10, decimal_places=2, help_text="What was paid for it.")
    currency = models.CharField(max_length=3)
    purchase_date = models.DateTimeField(default=timezone.now)
    expiry_date = models.DateTimeField()
    total_uses = models.PositiveIntegerField()
    uses_remaining = models.PositiveIntegerField()
    uses_reversed = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Uses that were given back."
    )
    is_active = models.BooleanField(default=True)
    inactive_reason = models.CharField(max_length=20, choices=InactiveReason, blank=True)
    holds = models.CharField(
        max_length=80,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Every hold on it, the strongest first.",
    )
    batch = models.ForeignKey(
        Batch,
        on_delete=models.PROTECT,
        related_name="vouchers",
        null=True,
        blank=True,
        editable=False,
        db_index=False,  # one below begins with it
    )

    read_at: datetime  # only after read_with_clock()

    objects = VoucherQuerySet.as_manager()

    class Meta:
        ordering = ("-purchase_date", "-id")
        permissions = (
            ("extend_voucher", "Can extend vouchers"),
            ("suspend_voucher", "Can suspend and release vouchers"),
            ("void_voucher", "Can void vouchers"),
            ("reissue_voucher", "Can give vouchers a new code"),
            ("export_voucher", "Can export vouchers to a file, without their codes"),
        )
        indexes: ClassVar = [
            # A user's list in its two orders, and what it can be narrowed by: counting and skipping read no row, but
            # for a status. `uses_remaining` stands in no index at all: redeeming writes to none (a HOT update).
            models.Index(
                fields=(
                    "user",
                    "-purchase_date",
                    "-id",
                    "is_active",
                    "expiry_date",
                    "voucher_type",
                    "service_type",
                ),
                name="vouchers_owned_by_purchase",
            ),
            models.Index(
                fields=(
                    "user",
                    "expiry_date",
                    "id",
                    "is_active",
                    "voucher_type",
                    "service_type",
                ),
                name="vouchers_owned_by_expiry",
            ),
            models.Index(fields=("-purchase_date", "-id"), name="vouchers_newest_first"),
            models.Index(LastFour("code"), name="vouchers_by_last_four"),
            models.Index(fields=("expiry_date",), name="vouchers_by_expiry"),
            # The vouchers of a batch in the order of their issue, a chunk or a page at a time.
            models.Index(
                fields=("batch", "id"), condition=Q(batch__isnull=False), name="vouchers_of_a_batch"
            ),
            models.Index(
                fields=("inactive_reason", "-purchase_date", "-id"),
                condition=Q(is_active=False),
                name="vouchers_inactive",
            ),
        ]
        constraints = (
            models.CheckConstraint(
                condition=Q(uses_remaining__gte=0, uses_remaining__lte=F("total_uses")),
                name="vouchers_voucher_uses_within_total",
            ),
            models.CheckConstraint(condition=Q(total_uses__gte=1), name="vouchers_voucher_has_a_use"),
            models.CheckConstraint(
                condition=Q(face_value__gte=0), name="vouchers_voucher_value_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(is_active=True, inactive_reason="", holds="")
                | (Q(is_active=False, inactive_reason__in=InactiveReason.values) & ~Q(holds="")),
                name="vouchers_voucher_inactive_with_a_reason",
            ),
        )

    def __str__(self) -> str:
        return codes.mask_code(self.code)

    @property
    def shown_code(self) -> str:
        """The code in groups of four, for its owner."""
        return codes.format_code(self.code)

    @property
    def uses_made(self) -> int:
        """Uses that were not reversed."""
        return self.total_uses - self.uses_remaining

    @property
    def held_for(self) -> frozenset[Hold]:
        """What keeps it from being redeemed; empty if nothing does."""
        return frozenset(Hold(word) for word in self.holds.split())

    def set_holds(self, holds: frozenset[Hold]) -> None:
        """Set the three columns that say what keeps it from being redeemed. Does not save."""
        ordered = [hold for hold in Hold if hold in holds]
        self.holds = " ".join(ordered)
        self.is_active = not ordered
        self.inactive_reason = ordered[0].inactive_reason if ordered else ""

    def status_at(self, now: datetime) -> VoucherStatus:
        """The status at an aware datetime; the same rule as `status_condition`."""
        return states.status_at(
            now, is_active=self.is_active, uses_remaining=self.uses_remaining, expiry_date=self.expiry_date
        )

    def days_left_at(self, now: datetime) -> int:
        """Days from the local date of `now` to that of the expiry; 0 on the last day and ever after."""
        return states.days_left_at(now, expiry_date=self.expiry_date)


Voucher._meta.get_field("code").register_lookup(LastFour)


class VoucherUsage(models.Model):
    """One use. Append-only; `use_no` counts the uses of a voucher from 1 without gaps."""

    # No index of these foreign keys alone: a constraint and an index below begin with them.
    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="usages", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="usages",
        verbose_name="redeemed by",
        db_index=False,
    )
    service_type = models.SlugField(max_length=50, db_index=False)
    used_at = models.DateTimeField()
    details = models.JSONField(default=dict, blank=True)
    use_no = models.PositiveIntegerField()
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, editable=False)  # noqa: DJ001 - null: none
    request_hash = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    answer = models.JSONField(null=True, blank=True, editable=False)  # to the request with this key

    class Meta:
        ordering = ("-used_at", "-id")
        permissions = (
            ("reverse_usage", "Can give uses back"),
            ("export_usage", "Can export uses to a file"),
        )
        indexes: ClassVar = [
            models.Index(fields=("user", "-used_at", "-id", "service_type"), name="usages_list_by_time"),
            models.Index(fields=("-used_at", "-id"), name="usages_newest_first"),
        ]
        constraints = (
            models.UniqueConstraint(fields=("voucher", "use_no"), name="vouchers_usage_number_once"),
            models.CheckConstraint(condition=Q(use_no__gte=1), name="vouchers_usage_numbers_from_one"),
            models.UniqueConstraint(
                fields=("user", "idempotency_key"),
                condition=Q(idempotency_key__isnull=False),
                name="vouchers_usage_key_once",
            ),
        )

    def __str__(self) -> str:
        return f"Use {self.use_no} of voucher {self.voucher_id}"


class UsageReversal(models.Model):
    """The reversal of a use. Append-only; one for a use at most, so it can't be reversed twice."""

    usage = models.OneToOneField(VoucherUsage, on_delete=models.PROTECT, related_name="reversal")
    reversed_at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)

    class Meta:
        ordering = ("-reversed_at", "-id")
        indexes: ClassVar = [models.Index(fields=("reversed_at",), name="reversals_by_time")]

    def __str__(self) -> str:
        return f"Reversal of usage {self.usage_id}"


class VoucherEvent(models.Model):
    """What happened to a voucher, its uses apart. Append-only: a trigger refuses any change and deletion."""

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=10, choices=VoucherEventKind)
    hold = models.CharField(max_length=14, choices=Hold, blank=True)
    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="Empty: the system itself.",
    )
    reason = models.CharField(max_length=500, blank=True)
    details = models.JSONField(default=dict, blank=True)
    offset_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of a reminder: days before the expiry."
    )

    class Meta:
        ordering = ("voucher", "id")
        indexes: ClassVar = [
            # Without those that most are, and that change nothing of a voucher that was there.
            models.Index(
                fields=("at",), condition=~Q(kind__in=states.NO_CHANGE), name="voucher_changes_by_time"
            ),
            # Of all of them by day, for staff: rows are added in this order, so it needs next to no room or work.
            BlockRangeIndex(fields=("at",), name="voucher_events_by_day"),
        ]
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=VoucherEventKind.values), name="vouchers_event_kind_known"
            ),
            models.UniqueConstraint(
                fields=("voucher", "offset_days"),
                condition=Q(kind=VoucherEventKind.REMINDED),
                name="vouchers_event_reminded_once",
            ),
        )

    def __str__(self) -> str:
        return f"Voucher {self.voucher_id} {self.kind}"
