"""Transactions in the states that tests need."""

import uuid
from typing import Any

from django.db.models import Max

from apps.payments import gateway, services
from apps.payments.models import Receipt, ReceiptCounter, Transaction
from apps.users.models import User
from apps.vouchers.models import VoucherType
from apps.vouchers.tests.factories import make_type


def make_transaction(
    *, user: User, voucher_type: VoucherType | None = None, quantity: int = 1, **changes: Any
) -> Transaction:
    """A pending transaction with an intent id that no Stripe knows."""
    pending = transaction_row(user=user, voucher_type=voucher_type or make_type(), quantity=quantity)
    pending.save()
    if changes:
        Transaction.objects.filter(pk=pending.pk).update(**changes)
        pending.refresh_from_db()
    return pending


def transaction_row(
    *, user: User, voucher_type: VoucherType, quantity: int = 1, **changes: Any
) -> Transaction:
    """The row of a pending transaction, not saved: for books full of them."""
    fields: dict[str, Any] = {
        "unit_price": voucher_type.price,
        "amount": voucher_type.price * quantity,
        "currency": voucher_type.currency,
        "service_type": voucher_type.service_type,
        "validity_days": voucher_type.validity_days,
        "max_uses": voucher_type.max_uses,
        "stripe_payment_intent_id": f"pi_{uuid.uuid4().hex}",
    }
    return Transaction(user=user, voucher_type=voucher_type, quantity=quantity, **{**fields, **changes})


def make_completed_transaction(
    *, user: User, voucher_type: VoucherType | None = None, quantity: int = 1, **changes: Any
) -> Transaction:
    """A paid transaction with its vouchers, through the same fulfilment as ever."""
    pending = make_transaction(user=user, voucher_type=voucher_type, quantity=quantity)
    assert services.apply_intent(intent_for(pending))
    if changes:
        Transaction.objects.filter(pk=pending.pk).update(**changes)
    if "completed_at" in changes:
        Receipt.objects.filter(transaction=pending.pk).update(paid_at=changes["completed_at"])
    return Transaction.objects.get(pk=pending.pk)


def as_by_older_version(*paid: Transaction) -> None:
    """Leave these transactions as a version completes them that knows no receipts. They have to be the last ones."""
    Receipt.objects.filter(transaction__in=paid).delete()
    last = Receipt.objects.aggregate(last=Max("number"))["last"] or 0
    ReceiptCounter.objects.update(last_number=last)


def intent_for(paid: Transaction, **changes: Any) -> gateway.Intent:
    """The succeeded intent that pays a transaction exactly."""
    return gateway.Intent(
        **{
            "id": paid.stripe_payment_intent_id,
            "status": "succeeded",
            "amount": paid.amount,
            "amount_received": paid.amount,
            "currency": paid.currency,
            "order_id": str(paid.reference),
            "client_secret": "",
            **changes,
        }
    )
