"""Receipts as PDF, for bookkeepers: what was paid, by whom, for what, and what went back.

Receipts are handed on, so no code is on them: the vouchers stand there by their last four symbols.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.utils import timezone

from apps.core import pdf
from apps.core.dates import format_moment
from apps.core.money import format_amount
from apps.core.pdf import PdfDocument, new_document
from apps.vouchers import codes
from apps.vouchers.models import Voucher
from apps.vouchers.states import InactiveReason

from .models import Transaction

LEFT: Final = 20.0
RIGHT: Final = 190.0
QUANTITY: Final = 110.0  # the right edges of the columns of numbers
PRICE: Final = 147.0
IN_A_ROW: Final = 5
MOST_VOUCHERS: Final = 75  # that have room on the page


def receipt_pdf(transaction: Transaction) -> bytes:
    """The receipt of a paid transaction as it stands now: one page, A4.

    Best with its type and user loaded; reads its vouchers. The same state at the same minute gives the same bytes.
    """
    assert transaction.completed_at is not None, "only what was paid has a receipt"
    vouchers = list(transaction.vouchers)
    with new_document(pdf.A4, title=f"Receipt {transaction.pk}") as page:
        _head(page, transaction, transaction.completed_at)
        y = _item(page, transaction, vouchers)
        y = _sums(page, transaction, y)
        _vouchers(page, vouchers, y)
        page.line(LEFT, 277, RIGHT, 277)
        page.text(
            LEFT, 282, f"As of {format_moment(timezone.now())}.", size=8, colour=pdf.SOFT, width=RIGHT - LEFT
        )
        return page.pdf()


def file_name(transaction: Transaction) -> str:
    """What the file is called where it is saved."""
    return f"receipt-{transaction.pk}.pdf"


def _head(page: PdfDocument, transaction: Transaction, paid_at: datetime) -> None:
    page.box(0, 0, page.width, 16, fill=pdf.ACCENT)
    page.text(LEFT, 10.2, "RECEIPT", face=pdf.BOLD, size=13, colour=pdf.WHITE, spacing=0.8)
    site = settings.FRONTEND_URL.split("://")[-1].partition("/")[0]
    page.text(RIGHT, 10.2, site, face=pdf.BOLD, size=11, colour=pdf.WHITE, align="right", width=110)
    page.text(LEFT, 34, f"Receipt {transaction.pk}", face=pdf.BOLD, size=24)

    _label(page, LEFT, 48, "Paid by")
    buyer = transaction.buyer_name or transaction.user.full_name
    address = transaction.buyer_email or transaction.user.mail_address or "(account closed)"
    y = page.paragraph(LEFT, 49.5, buyer, width=78, max_lines=3, face=pdf.BOLD, sizes=(11, 9))
    page.paragraph(LEFT, y + 0.5, address, width=78, max_lines=3, sizes=(10, 9, 8))

    _label(page, 105, 48, "Paid on")
    page.text(105, 53.3, format_moment(paid_at), size=10.5, face=pdf.BOLD, width=RIGHT - 105)
    _label(page, 105, 61, "Stripe payment")
    if transaction.stripe_payment_intent_id:
        page.paragraph(
            105,
            62,
            transaction.stripe_payment_intent_id,
            width=RIGHT - 105,
            max_lines=3,
            face=pdf.MONO,
            sizes=(8.5, 7.5, 6.5),
        )
    else:
        page.text(105, 65.8, "Nothing was to be paid.", size=10)


def _item(page: PdfDocument, transaction: Transaction, vouchers: list[Voucher]) -> float:
    page.box(LEFT, 80, RIGHT - LEFT, 9, fill=pdf.TINT)
    for x, label, align in (
        (LEFT + 3, "Vouchers for", "left"),
        (QUANTITY, "Quantity", "right"),
        (PRICE, "Unit price", "right"),
        (RIGHT - 3, "Amount", "right"),
    ):
        _label(page, x, 85.7, label, align=align)
    name = transaction.sold_as
    y = page.paragraph(LEFT + 3, 92, name, width=64, max_lines=5, face=pdf.BOLD, sizes=(11, 10, 9))
    uses = "1 use" if transaction.max_uses == 1 else f"{transaction.max_uses:,} uses"
    y = page.paragraph(
        LEFT + 3,
        y + 0.5,
        f"Service: {transaction.service_type}, {uses} each",
        width=64,
        max_lines=2,
        sizes=(9, 8),
        colour=pdf.SOFT,
    )
    page.text(QUANTITY, 96.2, f"{transaction.quantity:,}", size=11, align="right", width=25)
    _amount(page, PRICE, 96.2, transaction.unit_price, transaction)
    _amount(page, RIGHT - 3, 96.2, transaction.amount, transaction)
    return y + 4


def _sums(page: PdfDocument, transaction: Transaction, y: float) -> float:
    page.line(LEFT, y, RIGHT, y)
    lines = [("Total paid", transaction.amount, pdf.BOLD)]
    if transaction.amount_refunded:
        lines.append(("Refunded", -transaction.amount_refunded, pdf.REGULAR))
        lines.append(("Paid after refunds", transaction.amount - transaction.amount_refunded, pdf.BOLD))
    for label, amount, face in lines:
        y += 8
        page.text(PRICE, y, label, face=face, size=11, align="right")
        _amount(page, RIGHT - 3, y, amount, transaction, face)
    return y + 8


def _vouchers(page: PdfDocument, vouchers: list[Voucher], y: float) -> None:
    y += 6
    _label(page, LEFT, y, "Vouchers, by the last four symbols of their codes")
    y += 2
    width = (RIGHT - LEFT) / IN_A_ROW
    for index, voucher in enumerate(vouchers[:MOST_VOUCHERS]):
        row, column = divmod(index, IN_A_ROW)
        x, baseline = LEFT + column * width, y + row * 6 + 5
        wide = page.text(x, baseline, codes.mask_code(voucher.code), face=pdf.MONO, size=9.5)
        if voucher.inactive_reason == InactiveReason.REFUNDED:
            page.text(x + wide + 1.5, baseline, "refunded", size=7, colour=pdf.SOFT)
    if more := len(vouchers[MOST_VOUCHERS:]):
        rows = MOST_VOUCHERS // IN_A_ROW
        page.text(LEFT, y + rows * 6 + 5, f"and {more:,} more", size=9.5, colour=pdf.SOFT)


def _label(page: PdfDocument, x: float, y: float, label: str, align: str = "left") -> None:
    page.text(x, y, label.upper(), size=7.5, colour=pdf.SOFT, spacing=0.25, align=align)


def _amount(
    page: PdfDocument,
    x: float,
    y: float,
    amount: Decimal,
    transaction: Transaction,
    face: str = pdf.REGULAR,
) -> None:
    """An amount of money left of `x`, small rather than cut."""
    written = format_amount(amount, transaction.currency).replace("-", "\N{MINUS SIGN}")
    page.text(x, y, written, face=face, size=11 if len(written) < 18 else 8, align="right", width=39)
