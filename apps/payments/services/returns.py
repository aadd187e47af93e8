"""What went back of a payment, and what follows from it: amounts, status and holds.

They are not changed step by step but follow from the refunds and disputes: whoever changes one of these calls
`rebalance` in the same database transaction, under the lock of the transaction's row.
"""

import logging
from collections.abc import Iterable
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
from apps.vouchers.models import Hold, Voucher

log = logging.getLogger(__name__)


def locked_transaction(transactions: QuerySet[Transaction]) -> Transaction:
    """The one transaction among these, its row locked. Raises TransactionNotFound."""
    rows = transactions.select_for_update(of=("self",)).select_related("voucher_type", "user")
    found = rows.first()
    if found is None:
        raise TransactionNotFound
    return found


def locked_vouchers(paid: Transaction) -> list[Voucher]:
    """The vouchers of a transaction, locked by primary key, in the order of its lines."""
    lines = dict(paid.sold_vouchers.values_list("voucher_id", "line_no"))
    return sorted(voucher_services.locked(lines), key=lambda voucher: lines[voucher.pk])


def rebalance(paid: Transaction, *, reason: str, actor: User | None = None) -> None:
    """Bring a paid transaction, whose row the caller has locked, in line with its refunds and disputes.

    A constraint refuses refunds that together are more than what was paid; of lost disputes counts what is left.
    """
    refunds = list(paid.refunds.all())
    outcomes = list(paid.disputes.values_list("outcome", "amount"))
    lost = [amount for outcome, amount in outcomes if outcome == DisputeOutcome.LOST]
    paid.amount_refunding = _total(refund.amount for refund in refunds if refund.status in UNDER_WAY)
    refunded = _total(refund.amount for refund in refunds if refund.status == RefundStatus.SUCCEEDED)
    rest = max(paid.amount - refunded - paid.amount_refunding, Decimal(0))
    paid.amount_refunded = refunded + min(_total(lost), rest)
    if paid.status in PAID:
        all_back = 0 < paid.amount == paid.amount_refunded
        paid.status = TransactionStatus.REFUNDED if all_back else TransactionStatus.COMPLETED
    paid.save(update_fields=("amount_refunding", "amount_refunded", "status", "updated_at"))

    disputed = any(outcome == DisputeOutcome.OPEN for outcome, _ in outcomes)
    lines = RefundedVoucher.objects.filter(refund__transaction=paid, live=True)
    refund_of = dict(lines.values_list("voucher_id", "refund__status"))
    targets: dict[int, set[Hold]] = {}
    for voucher_id in paid.sold_vouchers.values_list("voucher_id", flat=True):
        holds = targets[voucher_id] = set()
        if lost or refund_of.get(voucher_id) == RefundStatus.SUCCEEDED:
            holds.add(Hold.REFUNDED)
        elif voucher_id in refund_of:
            holds.add(Hold.REFUND_PENDING)
        if disputed:
            holds.add(Hold.DISPUTED)
    voucher_services.sync_money_holds(targets, reason=reason, actor=actor)


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
