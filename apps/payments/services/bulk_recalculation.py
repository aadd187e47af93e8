"""Doing again what follows from the refunds and disputes of all payments, when its rules have changed."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction as database
from django.db.models import Q

from apps.core.batching import id_chunks
from apps.payments.models import PAID, Transaction

from .recalculation import lock_transaction, recalculate

CHUNK = 500


def recalculate_payments(*, apply: bool, reason: str) -> Iterator[tuple[int, bool]]:
    """Rebalance every paid transaction with refunds or disputes: each one's id, and whether anything changes.

    One after the other, each in a database transaction of its own, so that it can be stopped and called again.
    Without `apply` nothing is written.
    """
    concerned = Transaction.objects.filter(
        Q(refunds__isnull=False) | Q(disputes__isnull=False), status__in=PAID
    ).distinct()
    for ids in id_chunks(concerned, CHUNK):
        for transaction_id in ids:
            yield transaction_id, _recalculate(transaction_id, apply=apply, reason=reason)


@database.atomic
def _recalculate(transaction_id: int, *, apply: bool, reason: str) -> bool:
    paid = lock_transaction(Transaction.objects.filter(pk=transaction_id))
    before = _state(paid)
    recalculate(paid, reason=reason)
    changed = _state(paid) != before
    if not apply:
        database.set_rollback(True)
    return changed


def _state(paid: Transaction) -> tuple[Any, ...]:
    """What rebalancing may change of a transaction and its vouchers."""
    return (
        paid.amount_refunding,
        paid.amount_refunded,
        paid.amount_goodwill,
        paid.status,
        list(paid.vouchers.values_list("holds", "expiry_date")),
        sorted(paid.refunds.filter(lines__live=True).values_list("pk", "lines__voucher")),
    )
