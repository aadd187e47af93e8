"""What went back of a payment, and what follows from it: amounts, status and holds.

They are not changed step by step but follow from the refunds and disputes: whoever changes one of these calls
`recalculate` in the same database transaction, under the lock of the transaction's row.
"""

import logging
from decimal import Decimal

from django.db.models import QuerySet

from apps.payments.errors import TransactionNotFound
from apps.payments.models import (
    PAID,
    UNDER_WAY,
    DisputeOutcome,
    RefundedVoucher,
    RefundStatus,
    Transaction,
    TransactionStatus,
)
from apps.users.models import User
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold

from .allocation import COUNTING, allocate_dashboard_refunds, goodwill_of, lost_vouchers, total

log = logging.getLogger(__name__)


def lock_transaction(transactions: QuerySet[Transaction]) -> Transaction:
    """The one transaction among these, its row locked. Raises TransactionNotFound."""
    rows = transactions.select_for_update(of=("self",)).select_related("voucher_type", "user")
    transaction = rows.first()
    if transaction is None:
        raise TransactionNotFound
    return transaction


def lock_vouchers(paid: Transaction) -> list[Voucher]:
    """The vouchers of a transaction, locked by primary key, in the order of its lines."""
    lines = dict(paid.sold_vouchers.values_list("voucher_id", "line_no"))
    return sorted(voucher_services.lock_vouchers(lines), key=lambda voucher: lines[voucher.pk])


def recalculate(paid: Transaction, *, reason: str, actor: User | None = None) -> None:
    """Bring a paid transaction, whose row the caller has locked, in line with its refunds and disputes.

    A constraint refuses refunds that together are more than what was paid; of lost disputes counts what is left.
    """
    refunds = list(paid.refunds.filter(status__in=COUNTING))
    outcomes = list(paid.disputes.values_list("outcome", "amount"))
    refunding = total(refund.amount for refund in refunds if refund.status in UNDER_WAY)
    refunded = total(refund.amount for refund in refunds if refund.status == RefundStatus.SUCCEEDED)
    # The bank may have taken again what was refunded before: it counts once.
    lost = min(
        total(amount for outcome, amount in outcomes if outcome == DisputeOutcome.LOST),
        max(paid.amount - refunded - refunding, Decimal(0)),
    )

    vouchers = lock_vouchers(paid)
    allocate_dashboard_refunds(paid, refunds, vouchers)
    lines = RefundedVoucher.objects.filter(refund__transaction=paid, live=True)
    refund_of = dict(lines.values_list("voucher_id", "refund__status"))
    lost_voucher_ids = lost_vouchers(paid, lost, vouchers, refund_of)
    disputed = any(outcome == DisputeOutcome.OPEN for outcome, _ in outcomes)
    targets: dict[int, set[Hold]] = {}
    for voucher in vouchers:
        holds = targets[voucher.pk] = set()
        if voucher.pk in lost_voucher_ids or refund_of.get(voucher.pk) == RefundStatus.SUCCEEDED:
            holds.add(Hold.REFUNDED)
        elif voucher.pk in refund_of:
            holds.add(Hold.REFUND_PENDING)
        if disputed:
            holds.add(Hold.DISPUTED)

    paid.amount_refunding, paid.amount_refunded = refunding, refunded + lost
    void = [voucher_id for voucher_id, holds in targets.items() if Hold.REFUNDED in holds]
    paid.amount_goodwill = goodwill_of(refunds, paid, void)
    if paid.status in PAID:
        all_back = 0 < paid.amount == paid.amount_refunded
        paid.status = TransactionStatus.REFUNDED if all_back else TransactionStatus.COMPLETED
    paid.save(
        update_fields=("amount_refunding", "amount_refunded", "amount_goodwill", "status", "updated_at")
    )
    voucher_services.sync_money_holds(targets, reason=reason, actor=actor)
