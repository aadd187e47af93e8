"""The JSON of transactions, built from rows: equal to what the serializers of the same name write.

For what is requested all the time. The OpenAPI document is generated from the serializers; tests/test_documents.py of
this app compares the two.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apps.core.api.documents import money_text, utc_text
from apps.vouchers.documents import sold_type_document, voucher_documents
from apps.vouchers.rows import VoucherRow

from .rows import TransactionRow


def transaction_document(row: TransactionRow) -> dict[str, Any]:
    """A transaction as `TransactionOutput` writes it."""
    return {
        "id": row.id,
        "status": row.status,
        "voucher_type": sold_type_document(row),
        "quantity": row.quantity,
        "unit_price": money_text(row.unit_price),
        "amount": money_text(row.amount),
        "currency": row.currency,
        "amount_refunded": money_text(row.amount_refunded),
        "stripe_payment_intent_id": row.stripe_payment_intent_id,
        "created_at": utc_text(row.created_at),
        "updated_at": utc_text(row.updated_at),
        "completed_at": row.completed_at and utc_text(row.completed_at),
        "receipt_number": row.receipt_number,
    }


def transaction_detail_document(
    row: TransactionRow, vouchers: Sequence[VoucherRow], now: datetime
) -> dict[str, Any]:
    """A transaction as `TransactionDetailOutput` writes it at `now`, an aware datetime."""
    return {**transaction_document(row), "vouchers": voucher_documents(vouchers, now)}


def purchase_document(
    row: TransactionRow,
    vouchers: Sequence[VoucherRow],
    now: datetime,
    *,
    client_secret: str | None,
    publishable_key: str,
) -> dict[str, Any]:
    """A purchase that was started as `PurchaseOutput` writes it at `now`."""
    return {
        "transaction": transaction_document(row),
        "vouchers": voucher_documents(vouchers, now),
        "client_secret": client_secret,
        "publishable_key": publishable_key,
    }


def payment_intent_document(
    row: TransactionRow, *, client_secret: str | None, publishable_key: str
) -> dict[str, Any]:
    """A purchase that was started as `OlderPaymentIntentOutput` writes it."""
    return {
        "transaction_id": row.id,
        "payment_intent_id": row.stripe_payment_intent_id,
        "client_secret": client_secret,
        "publishable_key": publishable_key,
        "amount": money_text(row.amount),
        "currency": row.currency,
        "payment_id": row.id,
        "payment": transaction_document(row),
    }


def confirm_document(
    row: TransactionRow, vouchers: Sequence[VoucherRow], now: datetime, *, message: str
) -> dict[str, Any]:
    """A paid transaction as `ConfirmOutput` writes it at `now`."""
    documents = voucher_documents(vouchers, now)
    return {
        "message": message,
        "transaction": transaction_document(row),
        "vouchers": documents,
        "voucher_codes": [document["code"] for document in documents],
    }


def older_confirm_document(
    row: TransactionRow, vouchers: Sequence[VoucherRow], now: datetime, *, message: str
) -> dict[str, Any]:
    """A paid transaction as `OlderConfirmOutput` writes it at `now`."""
    document = confirm_document(row, vouchers, now, message=message)
    return {**document, "payment_id": row.id, "payment": document["transaction"]}
