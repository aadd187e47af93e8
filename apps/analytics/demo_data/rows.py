"""The rows of the demo history in memory, and how they are written: all of them, or none."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import DateTimeField, ExpressionWrapper, F
from django.db.models.functions import Coalesce

from apps.payments.models import Dispute, Refund, RefundedVoucher, SoldVoucher, Transaction
from apps.users.models import User, UserProfile
from apps.vouchers.models import (
    Batch,
    BatchExport,
    RefusalCount,
    UsageReversal,
    Voucher,
    VoucherEvent,
    VoucherUsage,
)

AT_ONCE: Final = 500  # rows of an INSERT
ABANDONED_AFTER: Final = timedelta(hours=25)  # by then no purchase is pending any more
MOMENT: Final = DateTimeField()


@dataclass
class Rows:
    """Rows that are not written yet; each list in the order of time. They refer to each other as objects."""

    users: list[User] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    exports: list[BatchExport] = field(default_factory=list)
    vouchers: list[Voucher] = field(default_factory=list)
    sold: list[SoldVoucher] = field(default_factory=list)
    usages: list[VoucherUsage] = field(default_factory=list)
    reversals: list[UsageReversal] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    refunded: list[RefundedVoucher] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    refusals: list[RefusalCount] = field(default_factory=list)
    events: list[VoucherEvent] = field(default_factory=list)
    # An event whose reason has "{}" in place of the number of a refund or a dispute.
    numbered: list[tuple[VoucherEvent, Refund | Dispute]] = field(default_factory=list)
    # When the last refund or dispute changed a purchase, by identity: the rows have no numbers yet.
    changed: dict[int, datetime] = field(default_factory=dict)

    def touch(self, transaction: Transaction, at: datetime) -> None:
        """Note that a refund or a dispute changed a purchase."""
        self.changed[id(transaction)] = at

    def write(self, on_progress: Callable[[int], object]) -> int:
        """Write all rows and give them their numbers; how many. `on_progress` gets the number of each portion."""
        number = 0
        for rows in (self.users, self._profiles(), self.transactions, self.batches, self.exports):
            number += _insert(rows, on_progress)
        # As numbers follow time in a database that has lived through it.
        self.vouchers.sort(key=lambda voucher: voucher.purchase_date)
        self.usages.sort(key=lambda usage: usage.used_at)
        self.reversals.sort(key=lambda reversal: reversal.reversed_at)
        self.refunds.sort(key=lambda refund: refund.created_at)
        self.disputes.sort(key=lambda dispute: dispute.opened_at)
        for table in (
            self.vouchers,
            self.sold,
            self.usages,
            self.reversals,
            self.refunds,
            self.refunded,
            self.disputes,
            self.refusals,
        ):
            number += _insert(table, on_progress)
        for event, subject in self.numbered:
            event.reason = event.reason.format(subject.pk)
        self.events.sort(key=lambda event: event.at)  # stable: those of one moment stay as they were
        number += _insert(self.events, on_progress)
        self._date_changes()
        return number

    def _profiles(self) -> list[UserProfile]:
        return [UserProfile(user=user) for user in self.users]

    def _date_changes(self) -> None:
        """Set when each row was changed last: the fields themselves only ever say now."""
        paid_or_abandoned = Coalesce(
            "completed_at", ExpressionWrapper(F("created_at") + ABANDONED_AFTER, MOMENT)
        )
        Transaction.objects.update(updated_at=paid_or_abandoned)
        Refund.objects.update(updated_at=Coalesce("finished_at", "created_at"))
        Dispute.objects.update(updated_at=Coalesce("closed_at", "opened_at"))
        returned = [row for row in self.transactions if id(row) in self.changed]
        for row in returned:
            row.updated_at = self.changed[id(row)]
        Transaction.objects.bulk_update(returned, ["updated_at"], batch_size=AT_ONCE)


def _insert(rows: list[Any], on_progress: Callable[[int], object]) -> int:
    for start in range(0, len(rows), AT_ONCE):
        portion = rows[start : start + AT_ONCE]
        type(portion[0])._default_manager.bulk_create(portion)
        on_progress(len(portion))
    return len(rows)
