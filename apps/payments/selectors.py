"""Reads of transactions."""

from django.db.models import QuerySet

from apps.users.models import User

from .errors import NotPaid, TransactionNotFound
from .models import Refund, Transaction


def transactions_of(user: User) -> QuerySet[Transaction]:
    """The user's transactions with their types, newest first."""
    return Transaction.objects.owned_by(user).select_related("voucher_type").order_by("-created_at", "-id")


def transaction_of(user: User, transaction_id: int) -> Transaction:
    """One of the user's transactions. Raises TransactionNotFound for any other."""
    found = transactions_of(user).filter(pk=transaction_id).first()
    if found is None:
        raise TransactionNotFound
    return found


def paid_transaction(transaction_id: int, *, among: QuerySet[Transaction]) -> Transaction:
    """One paid transaction with its buyer, of those that the caller may see.

    Raises TransactionNotFound, also where it is not `among` them, and NotPaid.
    """
    found = among.select_related("voucher_type", "user").filter(pk=transaction_id).first()
    if found is None:
        raise TransactionNotFound
    if not found.is_paid:
        raise NotPaid
    return found


def refunds_of(user: User) -> QuerySet[Refund]:
    """The refunds of the user's payments, whoever asked for them, with their vouchers, newest first."""
    refunds = Refund.objects.filter(transaction__user=user).select_related("transaction")
    return refunds.prefetch_related("lines__voucher").order_by("-created_at", "-id")
