"""Letting the codes of a purchase out to staff, to be printed for the buyer: on the record, like those of a batch."""

from decimal import Decimal
from typing import Final

from django.conf import settings
from django.utils import timezone

from apps.core import second_person
from apps.core.models import DataExport
from apps.core.second_person import SecondPersonNeeded
from apps.payments.errors import NotPaid
from apps.payments.models import Transaction
from apps.users.models import User
from apps.vouchers.models import Voucher

TABLE: Final = "Codes of a purchase"  # in the record of exports
ABOVE: Final = (
    "These codes are worth more than one person may take alone. Mail the receipt again instead: it has them, and goes"
    " to the buyer alone."
)


def values_of(paid: Transaction) -> tuple[tuple[Decimal, str], tuple[Decimal, str]]:
    """What the vouchers of a purchase cost together, at their own price and at that of today: with currency."""
    of_type = paid.voucher_type
    return (paid.amount, paid.currency), (of_type.price * paid.quantity, of_type.currency)


def export_codes(*, paid: Transaction, actor: User, file_type: str, note: str) -> list[Voucher]:
    """The vouchers of a paid transaction with their type, in order, for a file of this type with their codes.

    The actor is recorded first, with how many codes they get; `note` says by which way. Raises NotPaid, and above the
    set amount (SECOND_PERSON_CODE_EXPORTS) SecondPersonNeeded: there is no request for them, the buyer can be mailed.
    """
    if not paid.is_paid:
        raise NotPaid
    if second_person.is_needed(settings.SECOND_PERSON_CODE_EXPORTS, values_of(paid)):
        raise SecondPersonNeeded(ABOVE)
    vouchers = list(paid.vouchers)
    DataExport.objects.create(
        table=TABLE,
        file_type=file_type,
        actor=actor,
        criteria=f"Transaction {paid.pk}",
        note=note,
        rows=len(vouchers),
        finished_at=timezone.now(),
    )
    return vouchers
