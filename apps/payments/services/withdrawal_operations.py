"""Withdrawing a service as a bulk operation, in the background: what the command does, with progress that is stored.

The vouchers are held in chunks, and then the payments are refunded one by one: no transaction is open while Stripe is
called. What came of the refunds is counted from their rows: so a run that ended in the middle is counted too.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final

from django.db import models, transaction
from django.db.models import Count, Q, Sum

from apps.core import bulk_operations
from apps.core.models import BulkOperation
from apps.payments.models import RefundedVoucher, RefundStatus, Transaction, TransactionStatus
from apps.users.models import User
from apps.vouchers.models import VoucherType
from apps.vouchers.services import withdrawal

from .withdrawal_refunds import Refundable, Refunded, payments_to_refund, refund_each, refundable_of

WITHDRAW: Final = "vouchers.withdraw_vouchertype"
# How a refund stands, as the counts of an operation name it, in vouchers.
_REFUNDS: Final[Mapping[str, tuple[RefundStatus, ...]]] = {
    "refunded": (RefundStatus.SUCCEEDED,),
    "under_way": (RefundStatus.APPROVED, RefundStatus.PENDING),
    "failed": (RefundStatus.FAILED, RefundStatus.CANCELED),
    "waiting_for_second_person": (RefundStatus.REQUESTED,),
}


class WithdrawalChange(models.TextChoices):
    HOLD = "hold", "Hold what can be redeemed"
    REFUND = "refund", "Hold it, and refund what was never used"
    RELEASE = "release", "Release what was held for the withdrawal"

    @property
    def kind(self) -> str:
        """The kind of its bulk operations."""
        return f"payments.{self.value}_service"

    @property
    def permissions(self) -> tuple[str, ...]:
        """What it needs: refunds are asked for and approved in one step."""
        if self == WithdrawalChange.REFUND:
            return (WITHDRAW, "payments.make_refund", "payments.decide_refund")
        return (WITHDRAW,)


@dataclass(frozen=True)
class WithdrawalPlan:
    """What a withdrawal would do at a moment, and what it would leave alone."""

    summary: withdrawal.WithdrawalSummary
    to_hold: int
    owners: int
    values: dict[str, Decimal]  # of what would be held: what was paid for it, by currency
    refundable: Refundable
    pending_purchases: int


def plan(voucher_type: VoucherType, *, now: datetime) -> WithdrawalPlan:
    """The dry run, counted by the database."""
    to_hold = withdrawal.withdrawable(voucher_type).order_by()
    counts = to_hold.aggregate(number=Count("pk"), owners=Count("user", distinct=True))
    values = to_hold.values_list("currency").annotate(value=Sum("face_value")).order_by("currency")
    pending = Transaction.objects.filter(voucher_type=voucher_type, status=TransactionStatus.PENDING)
    return WithdrawalPlan(
        summary=withdrawal.summarize(voucher_type, now=now),
        to_hold=counts["number"],
        owners=counts["owners"],
        values=dict(values),
        refundable=refundable_of(voucher_type, now=now),
        pending_purchases=pending.count(),
    )


def start(change: WithdrawalChange, voucher_type: VoucherType, *, actor: User, reason: str) -> BulkOperation:
    """Begin to withdraw the service of a type, or to release what was withdrawn; it runs after the commit.

    Raises OperationRunning while another operation on the type is open.
    """
    rows = (
        withdrawal.withdrawn(voucher_type)
        if change == WithdrawalChange.RELEASE
        else withdrawal.withdrawable(voucher_type)
    )
    labels = {
        WithdrawalChange.HOLD: "Withdraw {}",
        WithdrawalChange.REFUND: "Withdraw and refund {}",
        WithdrawalChange.RELEASE: "Release {}",
    }
    return bulk_operations.start(
        kind=change.kind,
        row=voucher_type,
        label=labels[change].format(voucher_type),
        parameters={"voucher_type": voucher_type.pk},
        reason=reason,
        actor=actor,
        total=rows.count(),
    )


def register_withdrawals() -> None:
    """Add withdrawals to the kinds of bulk operations."""
    words = {
        "unchanged": "Left alone: used or changed meanwhile",
        "refunded": "Refunded",
        "under_way": "Refunds on their way",
        "failed": "Refunds that failed",
        "waiting_for_second_person": "For somebody else to approve",
        "disputed_payments": "Payments in dispute, left alone",
    }
    steps: dict[WithdrawalChange, Callable[[BulkOperation], Generator[None, None, None]]] = {
        WithdrawalChange.HOLD: _hold,
        WithdrawalChange.REFUND: _hold_and_refund,
        WithdrawalChange.RELEASE: _release,
    }
    for change in WithdrawalChange:
        done = "Released" if change == WithdrawalChange.RELEASE else "Held"
        bulk_operations.register(
            bulk_operations.Kind(
                name=change.kind,
                permissions=change.permissions,
                steps=steps[change],
                outcomes={"changed": done, **words},
            )
        )


def _hold(operation: BulkOperation) -> Generator[None, None, None]:
    voucher_type = _type_of(operation)
    # 1. Off sale, so that nothing more is sold. What is paid at this moment is issued yet, and held by the next run.
    withdrawal.take_off_sale(voucher_type=voucher_type, reason=operation.reason, actor=operation.actor)
    # 2. Each voucher that could still be redeemed.
    change = partial(_change_chunk, withdrawal.hold_withdrawn)
    yield from bulk_operations.in_chunks(
        operation.pk, withdrawal.withdrawable(voucher_type), change, size=withdrawal.CHUNK
    )


def _release(operation: BulkOperation) -> Generator[None, None, None]:
    change = partial(_change_chunk, withdrawal.release_withdrawn)
    vouchers = withdrawal.withdrawn(_type_of(operation))
    yield from bulk_operations.in_chunks(operation.pk, vouchers, change, size=withdrawal.CHUNK)


def _change_chunk(
    change: Callable[..., int], operation: BulkOperation, voucher_ids: list[int]
) -> Mapping[str, int]:
    changed = change(voucher_ids, reason=operation.reason, actor=operation.actor)
    return {"changed": changed, "unchanged": len(voucher_ids) - changed}


def _hold_and_refund(operation: BulkOperation) -> Generator[None, None, None]:
    yield from _hold(operation)
    voucher_type = _type_of(operation)
    # 3. Each payment, outside any transaction. A run before this one may have done some: what is left is added.
    with transaction.atomic():
        started = bulk_operations.lock_open(operation.pk)
        started.stage = "payments being refunded"
        started.total = started.handled + payments_to_refund(voucher_type)
        started.save(update_fields=bulk_operations.PROGRESS)
    outcome = Refunded()
    try:
        for _ in refund_each(voucher_type, operation.actor, operation.reason, outcome):
            with transaction.atomic():
                started = bulk_operations.lock_open(operation.pk)
                started.add({}, handled=1)
                started.save(update_fields=bulk_operations.PROGRESS)
            yield
    finally:
        # 4. How the refunds stand: at the end, and whenever others get their turn, or it is stopped or interrupted.
        _note_refunds(operation, voucher_type, outcome)


@transaction.atomic
def _note_refunds(operation: BulkOperation, voucher_type: VoucherType, outcome: Refunded) -> None:
    row = BulkOperation.objects.select_for_update(no_key=True).get(pk=operation.pk)
    row.counts.update(_refunds_of(operation, voucher_type), disputed_payments=outcome.disputed_payments)
    row.save(update_fields=("counts",))


def _refunds_of(operation: BulkOperation, voucher_type: VoucherType) -> dict[str, int]:
    """How many vouchers are in refunds that this operation asked for or approved, by how these stand."""
    since = operation.created_at
    requested = Q(
        refund__requested_by=operation.actor, refund__reason=operation.reason, refund__created_at__gte=since
    )
    decided = Q(
        refund__decided_by=operation.actor,
        refund__decision_note=operation.reason,
        refund__decided_at__gte=since,
    )
    lines = RefundedVoucher.objects.filter(
        requested | decided, refund__transaction__voucher_type=voucher_type
    ).order_by()
    return lines.aggregate(
        **{name: Count("pk", filter=Q(refund__status__in=statuses)) for name, statuses in _REFUNDS.items()}
    )


def _type_of(operation: BulkOperation) -> VoucherType:
    return VoucherType.objects.get(pk=operation.parameters["voucher_type"])
