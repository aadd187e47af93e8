"""The permission to see figures, and the roll-up of the books: what figures need, counted once and not at each visit.

All of the roll-up can be rebuilt from the rows of vouchers and payments (`manage.py rebuild_daily_figures`), and
nothing else is known from here. A day that is not a CountedDay is counted from the rows at each visit.

Two kinds of facts stand in the figures of a day:

* What happened on it and stays: sales, issues, uses, reversals. They are counted where their moment lies before
  `FiguresState.counted_until`; later ones are counted at each visit.
* What may still change: the status of a voucher, what went back of a sale. It is noted how each voucher and each
  transaction was counted (CountedVoucher, CountedReturn). The difference between that and how it is now is what a visit
  adds, and what the next counting writes. So it does not matter whether one that changed has been counted already:
  looking at more of them than changed is never wrong.

A person counts once in a period, however many days they were active on: so the days of each are noted (ActiveDay), and
summed up so that any period can be read from the sums (ActiveGap).
"""

from datetime import date, timedelta
from typing import ClassVar, Final

from django.conf import settings
from django.db import models

from apps.payments.models import Transaction
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.states import VoucherStatus

VIEW_FIGURES: Final = "analytics.view_figures"


class Figures(models.Model):
    """No table: it carries the permission for figures of the whole platform, which are computed from all rows."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (("view_figures", "Can see the figures of the platform: sales, revenue, liability"),)

    def __str__(self) -> str:
        return "Figures"


class FiguresState(models.Model):
    """The one row that says how far the roll-up goes. Whoever writes to the roll-up locks it."""

    counted_until = models.DateTimeField(help_text="What happened before this moment is counted.")
    time_zone = models.CharField(max_length=64, help_text="Whose days were counted.")
    version = models.BigIntegerField(
        default=0,
        db_default=0,
        help_text="How often the roll-up was written to: it is what it was while this is.",
    )
    active_until = models.DateTimeField(
        null=True,
        help_text="Until when ActiveDay is counted; empty if it is not. All days of it are counted at once.",
    )

    registered_until = models.DateTimeField(
        null=True,
        help_text="Until when DailyRegistrations are counted; empty if they are not. All days are counted at once.",
    )

    class Meta:
        default_permissions = ()
        constraints = (models.CheckConstraint(condition=models.Q(pk=1), name="analytics_one_state"),)

    def __str__(self) -> str:
        return f"Counted until {self.counted_until:%Y-%m-%d %H:%M:%S %Z}"


class CountedDay(models.Model):
    """A local day whose figures are in the roll-up, also if nothing happened on it."""

    day = models.DateField(primary_key=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.day}"


class DaySums(models.Model):
    """The figures of one day, voucher type and currency. Sums of money are in the currency."""

    day = models.ForeignKey(CountedDay, on_delete=models.CASCADE, db_column="day", db_index=False)
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    purchases = models.IntegerField(default=0)
    revenue = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    # Of the sales of this day, whenever it went back.
    refunded = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    goodwill = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    # What went back on this day, of whichever sales.
    refunds_paid = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    disputes_lost = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    vouchers_issued = models.IntegerField(default=0)
    vouchers_free = models.IntegerField(default=0, help_text="Of those issued: in batches, not paid for.")
    vouchers_redeemed = models.IntegerField(default=0, help_text="Of those issued: with a use.")
    vouchers_active = models.IntegerField(default=0)
    vouchers_used = models.IntegerField(default=0)
    vouchers_expired = models.IntegerField(default=0)
    vouchers_inactive = models.IntegerField(default=0)
    redemptions = models.IntegerField(default=0, help_text="Uses of this day that were not reversed.")
    reversals = models.IntegerField(default=0, help_text="On this day, of whichever uses.")
    first_uses = models.IntegerField(default=0, help_text="Of the redemptions: the first of their voucher.")
    first_use_time = models.DurationField(
        default=timedelta, help_text="From issue to first use, of all these together."
    )

    class Meta:
        abstract = True


class DailyFigures(DaySums):
    """The figures of the platform."""

    class Meta:
        default_permissions = ()
        ordering = ("day", "voucher_type", "currency")
        constraints = (
            models.UniqueConstraint(
                fields=("day", "voucher_type", "currency"), name="analytics_daily_figures_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.day_id}, type {self.voucher_type_id}, {self.currency}"


class CountedOwner(models.Model):
    """An owner of so many vouchers that their figures are in the roll-up too. Those of all others are counted live."""

    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    vouchers = models.BigIntegerField(
        null=True,
        help_text="How many they have of those issued before `vouchers_until`; empty if not counted.",
    )
    vouchers_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Owner {self.owner_id}"


class OwnerDailyFigures(DaySums):
    """The figures of one owner's purchases and vouchers."""

    owner = models.ForeignKey(
        CountedOwner, on_delete=models.CASCADE, related_name="daily_figures", db_index=False
    )

    class Meta:
        default_permissions = ()
        ordering = ("owner", "day", "voucher_type", "currency")
        constraints = (
            models.UniqueConstraint(
                fields=("owner", "day", "voucher_type", "currency"), name="analytics_owner_figures_once"
            ),
        )
        indexes: ClassVar = [models.Index(fields=("day",), name="analytics_owner_figures_by_day")]

    def __str__(self) -> str:
        return f"Owner {self.owner_id}, {self.day_id}, type {self.voucher_type_id}, {self.currency}"


class CountedVoucher(models.Model):
    """How a voucher stands in the roll-up: in the figures of the day of its issue, and in UnusedValue."""

    # Without a constraint, which would lock each voucher that is counted, and so write to its row.
    voucher = models.OneToOneField(
        Voucher, on_delete=models.CASCADE, primary_key=True, related_name="counted", db_constraint=False
    )
    status = models.CharField(max_length=10, choices=VoucherStatus)
    uses_remaining = models.PositiveIntegerField()
    expires_on = models.DateField(help_text="The local day of its expiry.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Voucher {self.voucher_id} as {self.status}"


class ReturnKind(models.TextChoices):
    OF_SALE = "of_sale", "What went back of the sales of the day"
    REFUND = "refund", "Refunds that were paid on the day"
    DISPUTE = "dispute", "Disputes that were lost on the day"


class CountedReturn(models.Model):
    """What went back of a transaction, as it stands in the figures of a day."""

    transaction = models.ForeignKey(
        Transaction,
        on_delete=models.CASCADE,
        related_name="counted_returns",
        db_index=False,
        db_constraint=False,  # as above
    )
    kind = models.CharField(max_length=7, choices=ReturnKind)
    day = models.DateField(db_index=True)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    goodwill = models.DecimalField(max_digits=12, decimal_places=2, default=0)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("transaction", "kind", "day"), name="analytics_return_once"),
        )

    def __str__(self) -> str:
        return f"{self.kind} of transaction {self.transaction_id} on {self.day}"


class UnusedValue(models.Model):
    """The worth of the unused uses of counted vouchers, those void or held apart, by the local day of their expiry.

    `value` is the sum of face value × uses remaining. It has to be divided by `total_uses`, by which it is therefore
    kept apart: a sum of rounded quotients would not be right to the cent.
    """

    expires_on = models.DateField()
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    total_uses = models.PositiveIntegerField()
    is_sold = models.BooleanField(help_text="Whether it was paid for, or issued in a batch.")
    value = models.DecimalField(max_digits=24, decimal_places=2, default=0)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("expires_on", "voucher_type", "currency", "total_uses", "is_sold"),
                name="analytics_unused_value_once",
            ),
        )

    def __str__(self) -> str:
        return f"Unused until {self.expires_on}, type {self.voucher_type_id}, {self.currency}"


BEFORE_ALL_DAYS: Final = date.min
AFTER_ALL_DAYS: Final = date.max


class ActiveDay(models.Model):
    """A local day on which a user was active: bought, redeemed, or signed in for the last time."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,  # as above
    )
    day = models.DateField()
    events = models.IntegerField(help_text="How many there were, without uses that were reversed.")

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("user", "day"), name="analytics_active_day_once"),)

    def __str__(self) -> str:
        return f"User {self.user_id} on {self.day}"


class ActiveGap(models.Model):
    """How many users were active on two days, and on none between them.

    A user's first gap begins with BEFORE_ALL_DAYS, the last ends with AFTER_ALL_DAYS. So everybody who was active in a
    period has exactly one gap that begins before the period and ends in it, and one that begins in it and ends after.
    """

    previous_day = models.DateField()
    next_day = models.DateField()
    users = models.IntegerField()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("next_day", "previous_day"), name="analytics_active_gap_once"),
        )

    def __str__(self) -> str:
        return f"{self.users} users from {self.previous_day} to {self.next_day}"


class CountedSignIn(models.Model):
    """The day of a user's last sign-in, as it stands in ActiveDay."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="counted_sign_in",
        db_constraint=False,  # as above
    )
    day = models.DateField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"User {self.user_id} signed in on {self.day}"


class ErasedSignIn(models.Model):
    """A user whose last sign-in was erased, as the account was closed; until the roll-up has taken it back."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="+",
        db_constraint=False,  # as above
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"User {self.user_id}"


class DailyRegistrations(models.Model):
    """How many accounts that are there were created on a local day; closed ones too, of which the row stays."""

    day = models.DateField(primary_key=True)
    users = models.IntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.users} on {self.day}"
