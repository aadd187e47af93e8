"""What clients read of payments all the time, by queries that are compiled once. Their rows: rows.py."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import BigAutoField, BigIntegerField, CharField, F

from apps.core.prepared_queries import PreparedModelQuery, PreparedQuery, PreparedRangeQuery, count_subquery
from apps.users.models import User
from apps.vouchers.models import Voucher
from apps.vouchers.rows import VOUCHER_COLUMNS, VoucherRow

from . import selectors
from .errors import TransactionNotFound
from .models import Transaction
from .rows import TRANSACTION_COLUMNS, TransactionRow, issued_voucher_rows


def first_transactions_of(user: User, *, limit: int, offset: int) -> list[tuple[Any, ...]]:
    """Some of the user's transactions, newest first: TRANSACTION_COLUMNS and the number of all. One query."""
    return _TRANSACTIONS.rows(owner=user.pk, limit=limit, offset=offset)


_TRANSACTIONS: Final = PreparedRangeQuery(  # planned for each owner: see FewOwnersTests
    lambda *columns: columns,
    lambda owner: selectors.transactions_of(owner).values_list(
        *TRANSACTION_COLUMNS, count_subquery(Transaction.objects.filter(user=owner))
    ),
    owner=BigAutoField(),
)


def transaction_row_of(user: User, transaction_id: int) -> TransactionRow:
    """One of the user's transactions. One query. Raises TransactionNotFound for any other."""
    in_range = transaction_id <= BigIntegerField.MAX_BIGINT
    rows = _OWN.rows(user=user.pk, pk=transaction_id) if in_range else []
    if not rows:
        raise TransactionNotFound
    return rows[0]


_OWN: Final = PreparedQuery(
    TransactionRow,
    lambda user, pk: (
        Transaction.objects.filter(pk=pk, user=user).order_by().values_list(*TRANSACTION_COLUMNS)
    ),
    user=BigAutoField(),
    pk=BigAutoField(),
)


def voucher_rows(transaction: Transaction) -> list[VoucherRow]:
    """The vouchers of a transaction in the order of its lines. No query where this instance has just issued them."""
    rows = issued_voucher_rows(transaction)
    return voucher_rows_of(transaction.pk) if rows is None else rows


def voucher_rows_of(transaction_id: int) -> list[VoucherRow]:
    """The vouchers of the transaction with this number, in the order of its lines. One query."""
    return _VOUCHERS.rows(transaction=transaction_id)


_VOUCHERS: Final = PreparedQuery(
    VoucherRow,
    lambda transaction: (
        Voucher.objects.filter(sale__transaction=transaction)
        .order_by("sale__line_no")
        .values_list(*VOUCHER_COLUMNS)
    ),
    transaction=BigAutoField(),
)


@dataclass(frozen=True)
class OwnPayment:
    """A transaction with its type, and of each dispute about it the outcome, and when its row last changed."""

    transaction: Transaction
    outcomes: frozenset[str]
    last_changes: dict[str, datetime]  # by the dispute's id at Stripe


def payment_of(user: User, payment_intent_id: str) -> OwnPayment:
    """The user's transaction with this payment intent. One query. Raises TransactionNotFound for any other."""
    rows = _PAYMENTS.rows(user=user.pk, intent_id=payment_intent_id)
    if not rows:
        raise TransactionNotFound
    disputes = [vars(row) for row in rows if vars(row)["dispute_id"] is not None]
    return OwnPayment(
        rows[0],
        frozenset(dispute["dispute_outcome"] for dispute in disputes),
        {dispute["dispute_id"]: dispute["dispute_changed_at"] for dispute in disputes},
    )


# A row for each dispute; one without a dispute if there is none.
_PAYMENTS: Final = PreparedModelQuery(
    lambda user, intent_id: (
        Transaction.objects.filter(user=user, stripe_payment_intent_id=intent_id)
        .select_related("voucher_type", "receipt")
        .annotate(
            dispute_id=F("disputes__stripe_dispute_id"),
            dispute_outcome=F("disputes__outcome"),
            dispute_changed_at=F("disputes__updated_at"),
        )
        .order_by()
    ),
    user=BigAutoField(),
    intent_id=CharField(),
)
