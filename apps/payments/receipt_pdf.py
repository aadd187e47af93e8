"""Receipts as PDF, for bookkeepers: who sold what to whom, when, how it was paid, the tax in it, and what went back.

Receipts are handed on, so no code is on them: the vouchers stand there by their last four symbols. All words are those
of the stored receipt, so the same page comes out years later; the one thing that grows is what went back, with its day.

Here is how they look on the page. What they say is stored by services/receipts.py; the mail that they are attached to
is templates/payments/mail/*/receipt.html.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation

from apps.core import pdf
from apps.core.dates import format_day, format_moment
from apps.core.money import format_amount
from apps.core.pdf import PdfDocument, new_document
from apps.vouchers import codes

from .models import Receipt

LEFT: Final = 20.0
MIDDLE: Final = 105.0  # where the right column begins
RIGHT: Final = 190.0
QUANTITY: Final = 110.0  # the right edges of the columns of numbers
PRICE: Final = 147.0
IN_A_ROW: Final = 5
BOTTOM: Final = 272.0  # of the vouchers


def receipt_pdf(receipt: Receipt, *, returned_until: datetime | None) -> bytes:
    """The receipt as it stands now: one page, A4. Best with its transaction and that one's user loaded.

    `returned_until` is when money of it went back last. The same receipt and returns give the same bytes.
    """
    document = new_document(pdf.A4, title=f"Receipt {receipt.number}", author=receipt.shop_name)
    with document as page, timezone.override(ZoneInfo(receipt.time_zone)), translation.override("en"):
        y = _head(page, receipt)
        y = _item(page, receipt, y)
        y = _sums(page, receipt, y, returned_until)
        _vouchers(page, receipt.code_endings.split(), y)
        if receipt.contact:
            page.line(LEFT, 277, RIGHT, 277)
            page.text(LEFT, 282, f"Questions: {receipt.contact}", size=8, colour=pdf.SOFT, width=RIGHT - LEFT)
        return page.pdf()


def file_name(receipt: Receipt) -> str:
    """What the file is called where it is saved."""
    return f"receipt-{receipt.number}.pdf"


def _head(page: PdfDocument, receipt: Receipt) -> float:
    page.box(0, 0, page.width, 16, fill=pdf.ACCENT)
    page.text(LEFT, 10.2, "RECEIPT", face=pdf.BOLD, size=13, colour=pdf.WHITE, spacing=0.8)
    shop = receipt.shop_name
    page.text(RIGHT, 10.2, shop, face=pdf.BOLD, size=11, colour=pdf.WHITE, align="right", width=110)
    page.text(LEFT, 32, f"Receipt {receipt.number}", face=pdf.BOLD, size=24)

    below = _party(page, LEFT, "Sold by", *_seller(receipt))
    below = max(below, _party(page, MIDDLE, "Sold to", *_buyer(receipt)))
    y = max(below + 7, 78)
    _label(page, LEFT, y, "Paid on")
    page.text(LEFT, y + 5.3, format_moment(receipt.paid_at), size=10.5, face=pdf.BOLD, width=80)
    _label(page, MIDDLE, y, "How it was paid")
    if not receipt.amount:
        page.text(MIDDLE, y + 5.3, "Nothing was to be paid.", size=10.5, face=pdf.BOLD)
    else:
        page.text(MIDDLE, y + 5.3, "By card, through Stripe", size=10.5, face=pdf.BOLD)
        intent = receipt.transaction.stripe_payment_intent_id or ""
        page.paragraph(
            MIDDLE, y + 6.5, intent, width=RIGHT - MIDDLE, max_lines=3, face=pdf.MONO, sizes=(8.5, 7.5, 6.5)
        )
    return y + 19


def _seller(receipt: Receipt) -> Sequence[str]:
    """Name and lines of the seller: of the sale, or today's where none was set then."""
    name, address, tax_number = receipt.seller_name, receipt.seller_address, receipt.seller_tax_number
    if not name:
        name, address, tax_number = settings.SHOP_SELLER
    return (name or receipt.shop_name, address, tax_number and f"Tax number: {tax_number}")


def _buyer(receipt: Receipt) -> Sequence[str]:
    """Name and address of the buyer: of the sale, or today's where none was kept then."""
    user = receipt.transaction.user
    address = receipt.buyer_email or user.mail_address or "(account closed)"
    return (receipt.buyer_name or user.full_name, address)


def _party(page: PdfDocument, x: float, label: str, name: str, *lines: str) -> float:
    _label(page, x, 45, label)
    y = page.paragraph(x, 46.5, name, width=78, max_lines=3, face=pdf.BOLD, sizes=(11, 9))
    for line in filter(None, lines):
        y = page.paragraph(x, y + 0.5, line, width=78, max_lines=3, sizes=(10, 9, 8))
    return y


def _item(page: PdfDocument, receipt: Receipt, y: float) -> float:
    page.box(LEFT, y, RIGHT - LEFT, 9, fill=pdf.TINT)
    for x, label, align in (
        (LEFT + 3, "Vouchers for", "left"),
        (QUANTITY, "Quantity", "right"),
        (PRICE, "Unit price", "right"),
        (RIGHT - 3, "Amount", "right"),
    ):
        _label(page, x, y + 5.7, label, align=align)
    baseline = y + 16.2
    y = page.paragraph(
        LEFT + 3, y + 12, receipt.item, width=64, max_lines=5, face=pdf.BOLD, sizes=(11, 10, 9)
    )
    y = page.paragraph(
        LEFT + 3, y + 0.5, receipt.detail, width=64, max_lines=2, sizes=(9, 8), colour=pdf.SOFT
    )
    page.text(QUANTITY, baseline, f"{receipt.quantity:,}", size=11, align="right", width=25)
    _amount(page, PRICE, baseline, receipt.unit_price, receipt)
    _amount(page, RIGHT - 3, baseline, receipt.amount, receipt)
    return y + 4


def _sums(page: PdfDocument, receipt: Receipt, y: float, returned_until: datetime | None) -> float:
    page.line(LEFT, y, RIGHT, y)
    lines = [("Total paid", receipt.amount, pdf.BOLD)]
    if receipt.tax_rate is not None and receipt.tax_amount is not None:
        rate = f"{receipt.tax_rate.normalize():f}"
        lines.append((f"of this, tax of {rate}\N{NO-BREAK SPACE}%", receipt.tax_amount, pdf.REGULAR))
        lines.append(("of this, without tax", receipt.amount - receipt.tax_amount, pdf.REGULAR))
    if returned := receipt.transaction.amount_refunded:
        until = f" up to {format_day(returned_until)}" if returned_until else ""
        lines.append((f"Refunded{until}", -returned, pdf.REGULAR))
        lines.append(("Paid after refunds", receipt.amount - returned, pdf.BOLD))
    for label, amount, face in lines:
        y += 8
        page.text(PRICE, y, label, face=face, size=11, align="right", width=PRICE - LEFT)
        _amount(page, RIGHT - 3, y, amount, receipt, face)
    return y + 8


def _vouchers(page: PdfDocument, endings: list[str], y: float) -> None:
    y += 6
    _label(page, LEFT, y, "Vouchers, by the last four symbols of their codes")
    y += 2
    width = (RIGHT - LEFT) / IN_A_ROW
    rows = int((BOTTOM - y) // 6)
    shown = endings if len(endings) <= rows * IN_A_ROW else endings[: (rows - 1) * IN_A_ROW]
    for index, ending in enumerate(shown):
        row, column = divmod(index, IN_A_ROW)
        x, baseline = LEFT + column * width, y + row * 6 + 5
        page.text(x, baseline, codes.mask_code(ending), face=pdf.MONO, size=9.5)
    if more := len(endings) - len(shown):
        page.text(LEFT, y + rows * 6 - 1, f"and {more:,} more", size=9.5, colour=pdf.SOFT)


def _label(page: PdfDocument, x: float, y: float, label: str, align: str = "left") -> None:
    page.text(x, y, label.upper(), size=7.5, colour=pdf.SOFT, spacing=0.25, align=align)


def _amount(
    page: PdfDocument, x: float, y: float, amount: Decimal, receipt: Receipt, face: str = pdf.REGULAR
) -> None:
    """An amount of money left of `x`, small rather than cut."""
    written = format_amount(amount, receipt.currency).replace("-", "\N{MINUS SIGN}")
    page.text(x, y, written, face=face, size=11 if len(written) < 18 else 8, align="right", width=39)
