"""Repairing a difference: each by the same services as confirm, webhooks and staff, so all are safe to repeat."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from apps.payments import gateway
from apps.payments.errors import PaymentMismatch
from apps.payments.models import Refund, RefundStatus, Transaction, TransactionStatus
from apps.payments.services import fulfilment
from apps.payments.services.refunds.decisions import execute_refund, send_automatic_refunds
from apps.payments.services.stripe_sync import SyncKind, sync_dispute, sync_payment, sync_refund

from .comparison import Difference


def _sync_payment(difference: Difference) -> bool:
    """Looked up once more, with its refunds and disputes: a list of intents has neither."""
    try:
        _, settled = sync_payment(difference.stripe_id)
    except PaymentMismatch:
        return False
    return settled is not None and settled.status != TransactionStatus.PENDING


def _fulfil(difference: Difference) -> bool:
    """What goes back to a closed account is done when Stripe has the refund."""
    unsent = _transaction_of(difference).refunds.under_way().filter(stripe_refund_id=None)
    return _sync_payment(difference) and not unsent.exists()


def _give_up(difference: Difference) -> bool:
    fulfilment.mark_failed(_transaction_of(difference))
    return True


def _cancel(difference: Difference) -> bool:
    """At Stripe first; one that was paid in the last moment is fulfilled."""
    if not difference.stripe_id:
        return _give_up(difference)
    gateway.cancel_intent(difference.stripe_id)
    return _sync_payment(difference)


def _send_refund(difference: Difference) -> bool:
    refund = _refund_of(difference)
    try:
        if refund.status == RefundStatus.REQUESTED:
            send_automatic_refunds(refund.transaction)
        return execute_refund(refund.pk).status not in (RefundStatus.REQUESTED, RefundStatus.APPROVED)
    except gateway.NotAtStripe:  # the payment that it is of
        return False


def _record_refund(difference: Difference) -> bool:
    return sync_refund(difference.stripe_id).kind is SyncKind.REFUND


def _move_refund(difference: Difference) -> bool:
    refund = _refund_of(difference)
    sync_refund(difference.stripe_id)
    return Refund.objects.filter(pk=refund.pk).exclude(status=refund.status).exists()


def _sync_dispute(difference: Difference) -> bool:
    return sync_dispute(difference.stripe_id).kind is SyncKind.DISPUTE


# By name; a person must look at the others. Each tells whether the difference is gone, and raises
# PaymentProviderUnavailable.
REPAIRS: Final[Mapping[str, Callable[[Difference], bool]]] = MappingProxyType(
    {
        "abandoned": _cancel,
        "open_for_closed_account": _cancel,
        "canceled_not_failed": _sync_payment,
        "refunded_not_failed": _give_up,
        "paid_not_fulfilled": _fulfil,
        "paid_by_closed_account": _fulfil,
        "refund_not_sent": _send_refund,
        "refund_unknown": _record_refund,
        "refund_moved": _move_refund,
        "dispute_unknown": _sync_dispute,
        "dispute_moved": _sync_dispute,
    }
)


def _transaction_of(difference: Difference) -> Transaction:
    assert difference.transaction is not None, difference.name
    return difference.transaction


def _refund_of(difference: Difference) -> Refund:
    assert difference.refund is not None, difference.name
    return difference.refund
