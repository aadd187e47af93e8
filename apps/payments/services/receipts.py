"""Receipts: stored when a sale is completed, under a number without gaps, and printed whenever they are wanted.

Decision 14 has what a receipt keeps. A sale that was completed without one, by an older version that served beside
this, gets it when it is first printed, or by `issue_missing_receipts`.

How a receipt looks on the page is receipt_pdf.py; its number and row are drawn and written in receipt_rows.py; the mail
with it is templates/payments/mail/*/receipt.html, sent by emails.py.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

from django.conf import settings
from django.db import transaction as database

from apps.core.money import decimal_places
from apps.payments import receipt_pdf, selectors
from apps.payments.models import Receipt, SoldVoucher, Transaction
from apps.users.models import CLOSED_DOMAIN, User
from apps.vouchers.models import Voucher
from apps.vouchers.type_names import service_name

from . import receipt_rows

CHUNK: Final = 500  # receipts that are issued in one transaction: some tenths of a second
LOOKED_THROUGH: Final = 20_000  # sales among which one statement looks for those that have none


class ReceiptFile(NamedTuple):
    """A receipt as PDF, and what the file is called."""

    name: str
    content: bytes


def issue_receipt(paid: Transaction, vouchers: Sequence[Voucher]) -> None:
    """Store the receipt of a transaction that was completed just now, with its vouchers in the order of its lines.

    Call it last before the commit: from here on nobody else can complete a sale. The caller has locked or inserted the
    transaction's row.
    """
    receipt = _worded(paid, [voucher.code[-4:] for voucher in vouchers])
    receipt_rows.insert_receipt(receipt)


def receipt_of(paid: Transaction) -> Receipt:
    """The receipt of a paid transaction; best loaded with it. One that is missing is issued."""
    try:
        return paid.receipt
    except Receipt.DoesNotExist:
        pass
    with database.atomic():
        locked = Transaction.objects.select_for_update(of=("self",)).select_related("voucher_type")
        sale = locked.get(pk=paid.pk)
        # Read after the lock is there: another may have been faster.
        receipt = Receipt.objects.filter(transaction=sale).first()
        if receipt is None:
            receipt = _worded(sale, _code_endings([sale])[sale.pk])
            receipt_rows.insert_receipt(receipt)
    receipt.transaction = paid
    return receipt


def print_receipt(paid: Transaction) -> ReceiptFile:
    """The receipt of a paid transaction as PDF, with what went back of it so far. Best with receipt and user loaded."""
    receipt = receipt_of(paid)
    returned_until = selectors.returned_until(paid) if paid.amount_refunded else None
    return ReceiptFile(
        receipt_pdf.file_name(receipt), receipt_pdf.receipt_pdf(receipt, returned_until=returned_until)
    )


def issue_missing_receipts(*, since: datetime | None = None) -> Iterator[int]:
    """Issue the receipts of sales that have none, the oldest first; of those completed at or after `since`, if set.

    A transaction of the database a chunk; gives how many receipts each has issued. A sale that is locked by another is
    left to the next run.
    """
    after: selectors.Sale | None = None
    while True:
        # Mostly none of these lacks one: among all sales at once the database would look for longer than it may.
        until = selectors.paid_after(LOOKED_THROUGH, since=since, after=after)
        yield from _issue_missing_between(since, after, until)
        if until is None:
            return
        after = until


def _issue_missing_between(
    since: datetime | None, after: selectors.Sale | None, until: selectors.Sale | None
) -> Iterator[int]:
    while True:
        with database.atomic():
            lacking = selectors.without_receipt(since=since, after=after, until=until)
            # Locked, so that nobody issues one or erases the buyer meanwhile. Who waits for many rows in another order
            # would wait for us as we for them, so none is waited for.
            sales = list(lacking.select_for_update(of=("self",), skip_locked=True)[:CHUNK])
            if not sales:
                return
            after = sales[-1].completed_at, sales[-1].pk  # type: ignore[assignment]  # it is paid
            # Read after the locks are there: another may have been faster.
            done = set(Receipt.objects.filter(transaction__in=sales).values_list("transaction", flat=True))
            sales = [sale for sale in sales if sale.pk not in done]
            endings = _code_endings(sales)
            receipt_rows.insert_receipts([_worded(sale, endings[sale.pk]) for sale in sales])
        yield len(sales)


def erase_buyer_of_receipts(*, user: User) -> None:
    """Erase from the user's receipts who they were. The transactions' rows are locked, or name nobody any more."""
    named = Receipt.objects.filter(transaction__user=user).exclude(buyer_name="", buyer_email="")
    named.update(buyer_name="", buyer_email="")


def erase_buyers_of_closed_accounts() -> int:
    """Erase buyers that an older version, which closed their account, left on receipts; on how many."""
    named = Receipt.objects.exclude(buyer_name="", buyer_email="")
    closed = named.filter(transaction__user__email__endswith=f"@{CLOSED_DOMAIN}")
    return closed.update(buyer_name="", buyer_email="")


def tax_included(amount: Decimal, rate: Decimal, currency: str) -> Decimal:
    """How much of an amount is tax at this rate in percent, rounded half up to the currency's minor unit."""
    unit = Decimal(1).scaleb(-min(decimal_places(currency), 2))
    return (amount * rate / (100 + rate)).quantize(unit, rounding=ROUND_HALF_UP)


def _worded(paid: Transaction, code_endings: Sequence[str]) -> Receipt:
    """The receipt of a paid transaction in today's words, without a number yet."""
    assert paid.completed_at is not None, "only what was paid has a receipt"
    uses = "1 use" if paid.max_uses == 1 else f"{paid.max_uses:,} uses"
    rate = settings.TAX_RATE
    return Receipt(
        transaction=paid,
        paid_at=paid.completed_at,
        time_zone=settings.TIME_ZONE,
        shop_name=settings.SHOP_NAME,
        contact=settings.SHOP_CONTACT,
        seller_name=settings.SHOP_SELLER.name,
        seller_address=settings.SHOP_SELLER.address,
        seller_tax_number=settings.SHOP_SELLER.tax_number,
        buyer_name=paid.buyer_name,
        buyer_email=paid.buyer_email,
        item=paid.sold_as,
        detail=f"{service_name(paid.service_type)}, {uses} each",
        quantity=paid.quantity,
        unit_price=paid.unit_price,
        amount=paid.amount,
        currency=paid.currency,
        tax_rate=rate,
        tax_amount=None if rate is None else tax_included(paid.amount, rate, paid.currency),
        code_endings=" ".join(code_endings),
    )


def _code_endings(sales: Sequence[Transaction]) -> dict[int, list[str]]:
    """The last four symbols of the codes of each sale's vouchers, as they are today, in the order of its lines."""
    endings: dict[int, list[str]] = defaultdict(list)
    lines = SoldVoucher.objects.filter(transaction__in=sales).order_by("transaction", "line_no")
    for transaction_id, code in lines.values_list("transaction_id", "voucher__code"):
        endings[transaction_id].append(code[-4:])
    return endings
