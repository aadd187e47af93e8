"""The columns of transactions that the API shows, as named tuples. What it makes of a row stands in documents.py."""

from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final, NamedTuple

from apps.vouchers.rows import SOLD_TYPE_COLUMNS, VoucherRow, voucher_row

from .models import Transaction


class TransactionRow(NamedTuple):
    """A transaction with the columns of its type. Times are aware datetimes, amounts in the major unit."""

    id: int
    status: str
    quantity: int
    unit_price: Decimal
    amount: Decimal
    currency: str
    amount_refunded: Decimal
    stripe_payment_intent_id: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    receipt_number: int | None
    service_type: str
    type_name: str  # as it was at the sale; empty if that was not kept
    type_id: int
    type_name_today: str
    type_description: str
    type_price: Decimal
    type_currency: str
    type_validity_days: int
    type_max_uses: int
    type_is_active: bool


TRANSACTION_COLUMNS: Final = (
    "id",
    "status",
    "quantity",
    "unit_price",
    "amount",
    "currency",
    "amount_refunded",
    "stripe_payment_intent_id",
    "created_at",
    "updated_at",
    "completed_at",
    "receipt__number",
    *SOLD_TYPE_COLUMNS,
)

# Of an instance, the number of its receipt is a property, as there may be none.
_of_transaction: Final = attrgetter(
    *(name.replace("receipt__", "receipt_").replace("__", ".") for name in TRANSACTION_COLUMNS)
)


def transaction_row(transaction: Transaction) -> TransactionRow:
    """The row of an instance. No query where its type, and the receipt of a paid one, were read with it."""
    return TransactionRow._make(_of_transaction(transaction))


def issued_voucher_rows(paid: Transaction) -> list[VoucherRow] | None:
    """The rows of the vouchers that this instance has just issued, without a query; None of any other instance."""
    if paid.just_issued is None:
        return None
    for voucher in paid.just_issued:
        voucher.voucher_type = paid.voucher_type
    return [voucher_row(voucher) for voucher in paid.just_issued]
