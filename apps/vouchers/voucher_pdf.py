"""Vouchers on paper: one on a page of its own or on a slip, or eight to a sheet to cut apart.

The page says what held when it was printed: a voucher that can't be redeemed then has no QR code and says why.
Its code stands on the page alone, not in what the document says of itself.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.conf import settings
from django.utils import timezone

from apps.core import pdf
from apps.core.dates import format_day, format_moment, format_time
from apps.core.money import format_amount
from apps.core.pdf import PdfDocument, new_document

from . import qr
from .models import Voucher
from .states import WHY_INACTIVE, InactiveReason, VoucherStatus
from .type_names import service_name

log = logging.getLogger(__name__)

# Vouchers in one file: two and a half minutes, 25 MB, and 330 MB of memory while it is drawn.
MOST: Final = 10_000
COLUMNS: Final = 2
ROWS: Final = 4
WARNING: Final = "Whoever holds this code can use it. Keep it like cash."
SLIP: Final = (80.0, 122.0)  # of the printer of a till


class Paper(StrEnum):
    """What vouchers are printed on: a page or a slip for each, or sheets of eight."""

    A5 = "a5"
    A4 = "a4"
    LETTER = "letter"
    SLIP = "80mm"


def voucher_pdf(voucher: Voucher) -> bytes:
    """One voucher to print, as a page (A5 landscape). Needs its type loaded.

    The same voucher at the same minute gives the same bytes.
    """
    return vouchers_pdf([voucher], Paper.A5)


def vouchers_pdf(vouchers: Iterable[Voucher], paper: Paper) -> bytes:
    """Vouchers to print on this paper, in their order. Needs each one's type loaded.

    Raises ValueError for none at all.
    """
    if paper == Paper.A4:
        return sheets_pdf(vouchers)
    if paper == Paper.LETTER:
        return sheets_pdf(vouchers, size=pdf.LETTER)
    size, draw = (SLIP, _slip) if paper == Paper.SLIP else (pdf.A5_LANDSCAPE, _page)
    now = timezone.now()
    with new_document(size, title="Voucher") as page:
        for _, voucher in _in_places(page, vouchers, per_page=1):
            draw(page, voucher, now)
        return page.pdf()


def sheets_pdf(vouchers: Iterable[Voucher], *, size: tuple[float, float] = pdf.A4) -> bytes:
    """Vouchers to print and cut apart, eight to a sheet, in their order. Needs each one's type loaded.

    Raises ValueError for none at all. Takes about 13 ms a voucher, for which other PDFs of this process wait.
    """
    now = timezone.now()
    with new_document(size, title="Vouchers") as sheet:
        for place, voucher in _in_places(sheet, vouchers, per_page=COLUMNS * ROWS):
            if place == 0:
                _cutting_lines(sheet)
            row, column = divmod(place, COLUMNS)
            _ticket(sheet, column * sheet.width / COLUMNS, row * sheet.height / ROWS, voucher, now)
        return sheet.pdf()


def _in_places(
    page: PdfDocument, vouchers: Iterable[Voucher], *, per_page: int
) -> Iterator[tuple[int, Voucher]]:
    """Each voucher with its place on a page, from 0; behind a full page begins the next. Raises ValueError for none."""
    index = -1
    for index, voucher in enumerate(vouchers):
        place = index % per_page
        if index and place == 0:
            page.next_page()
        yield place, voucher
    if index < 0:
        raise ValueError("There is no voucher to print.")


@dataclass(frozen=True)
class _Words:
    """What is printed of a voucher besides its code and name. `obstacle` is empty if it can be redeemed."""

    service: str
    last_day: str
    last_minute: str
    uses: str
    value: str
    obstacle: str
    address: str


def _words(voucher: Voucher, now: datetime) -> _Words:
    if voucher.total_uses == 1:
        uses = "1 use" if voucher.uses_remaining else "None left"
    else:
        uses = f"{voucher.uses_remaining:,} of {voucher.total_uses:,} left"
    match voucher.status_at(now):
        case VoucherStatus.ACTIVE:
            obstacle = ""
        case VoucherStatus.EXPIRED:
            obstacle = f"It expired on {format_day(voucher.expiry_date)}."
        case VoucherStatus.USED:
            obstacle = "It has no uses left."
        case VoucherStatus.INACTIVE:
            obstacle = f"{WHY_INACTIVE[InactiveReason(voucher.inactive_reason)]}."
    return _Words(
        service=f"Service: {service_name(voucher.service_type)}",
        last_day=format_day(voucher.expiry_date),
        last_minute=format_time(voucher.expiry_date),
        uses=uses,
        value=format_amount(voucher.face_value, voucher.currency) if voucher.face_value else "",
        obstacle=obstacle,
        address=qr.redeem_url(voucher.code).partition("#")[0].split("://")[-1],
    )


def _page(page: PdfDocument, voucher: Voucher, now: datetime) -> None:
    words = _words(voucher, now)
    left, right = 12.0, page.width - 12
    column, side = 122.0, 58.0

    page.box(0, 0, page.width, 16, fill=pdf.ALERT if words.obstacle else pdf.ACCENT)
    page.text(left, 10.2, "VOUCHER", face=pdf.BOLD, size=13, colour=pdf.WHITE, spacing=0.8)
    headline = f"Not valid. {words.obstacle}" if words.obstacle else settings.SHOP_NAME
    page.text(right, 10.2, headline, face=pdf.BOLD, size=11, colour=pdf.WHITE, align="right", width=145)

    y = page.paragraph(
        left,
        23,
        voucher.sold_as,
        width=column,
        height=31,  # and there is room for the service above the box with the code
        max_lines=3,
        face=pdf.BOLD,
        sizes=(26, 22, 18, 15, 12),
    )
    page.text(left, y + 4.5, words.service, size=9, colour=pdf.SOFT, width=column)

    page.box(left, 60, column, 24, fill=pdf.TINT, line=pdf.RULE, radius=2)
    _label(page, left + 6, 67, "Code")
    _code(page, left + 6, 78, voucher, words, size=23, room=column - 12)

    _fact(page, left, 92, 48, "Valid until", words.last_day, words.last_minute)
    _fact(page, left + 52, 92, 34, "Uses", words.uses)
    if words.value:
        _fact(page, left + 90, 92, 34, "Value", words.value)

    if settings.SHOP_LOGO:
        _logo(page, right - side, 88, side, 18)
    page.line(left, 110, right, 110)
    if words.obstacle:
        _refusal(page, right - side, 25, side, 59, words, big=20, small=10)
        page.text(left, 119, "This voucher could not be redeemed when this page was printed.", size=10)
    else:
        page.box(right - side, 25, side, 59, line=pdf.RULE, radius=2)
        page.matrix(right - side + 2, 26, side - 4, qr.modules(voucher.code))
        page.text(right - side / 2, 81.5, "Scan to redeem", size=8, colour=pdf.SOFT, align="centre")
        _label(page, left, 117, "How to redeem")
        online = f"Online: scan the QR code, or open {words.address} and type in the code."
        page.text(left, 123, online, size=10, width=right - left)
        page.text(left, 128, "At a service desk: show this page.", size=10)
        page.text(left, 134.5, WARNING, face=pdf.BOLD, size=10)
    page.text(
        left,
        141.5,
        f"Printed {format_moment(now)}. Uses and state are those of that moment.",
        size=7.5,
        colour=pdf.SOFT,
        width=right - left,
    )


def _slip(slip: PdfDocument, voucher: Voucher, now: datetime) -> None:
    words = _words(voucher, now)
    left, right = 6.0, slip.width - 6
    column, side = right - left, 46.0
    middle = slip.width / 2

    slip.text(middle, 8, settings.SHOP_NAME, size=9, align="centre", width=column)
    y = slip.paragraph(
        middle,
        11,
        voucher.sold_as,
        width=column,
        max_lines=2,
        face=pdf.BOLD,
        sizes=(13, 11, 9),
        align="centre",
    )
    slip.text(middle, y + 3, words.service, size=7.5, align="centre", width=column)
    if words.obstacle:
        _refusal(slip, middle - side / 2, 30, side, side, words, big=16, small=9)
    else:
        slip.matrix(middle - side / 2, 30, side, qr.modules(voucher.code))
    _code(slip, left + 3, 84, voucher, words, size=15, room=column - 6)
    slip.line(left, 88, right, 88)
    slip.text(left, 94, "Valid until", size=8)
    slip.text(right, 94, words.last_day, face=pdf.BOLD, size=9, align="right", width=column - 20)
    slip.text(right, 98, words.last_minute, size=7, align="right", width=column)
    slip.text(left, 103, " · ".join(filter(None, (words.uses, words.value))), size=8, width=column)
    how = "It could not be redeemed when this was printed." if words.obstacle else WARNING
    slip.paragraph(left, 105.5, how, width=column, max_lines=2, sizes=(7.5, 6.5))
    slip.text(left, 118, f"Printed {format_moment(now)}", size=6, width=column)


def _ticket(sheet: PdfDocument, x: float, y: float, voucher: Voucher, now: datetime) -> None:
    words = _words(voucher, now)
    width, pad = sheet.width / COLUMNS, 7.0
    left, right = x + pad, x + width - pad
    side = 36.0
    column = right - side - 3 - left

    below = sheet.paragraph(
        left, y + 7, voucher.sold_as, width=column, max_lines=3, face=pdf.BOLD, sizes=(12, 10.5, 9, 8)
    )
    sheet.text(left, below + 3, words.service, size=7, colour=pdf.SOFT, width=column)
    _label(sheet, left, y + 31, "Valid until", size=6.5)
    sheet.text(left, y + 35.3, words.last_day, face=pdf.BOLD, size=9.5, width=column)
    sheet.text(left, y + 38.6, words.last_minute, size=6.5, colour=pdf.SOFT, width=column)
    sheet.text(left, y + 43, " · ".join(filter(None, (words.uses, words.value))), size=8, width=column)

    sheet.box(left, y + 46, right - left, 10, fill=pdf.TINT, line=pdf.RULE, radius=1.5)
    _code(sheet, left + 4, y + 52.9, voucher, words, size=15, room=right - left - 8)
    if words.obstacle:
        _refusal(sheet, right - side, y + 8, side, side - 4, words, big=13, small=8)
        how = "This voucher could not be redeemed when this page was printed."
    else:
        sheet.matrix(right - side + 1, y + 6, side, qr.modules(voucher.code))
        how = f"Scan it, or open {words.address} and type in the code."
        sheet.text(left, y + 64.6, WARNING, face=pdf.BOLD, size=7, width=right - left)
    sheet.text(left, y + 60.8, how, size=7, colour=pdf.SOFT, width=right - left)
    sheet.text(left, y + 68, f"Printed {format_moment(now)}", size=6, colour=pdf.SOFT, width=right - left)


def _code(
    page: PdfDocument, x: float, y: float, voucher: Voucher, words: _Words, *, size: float, room: float
) -> None:
    """The code; struck out if it can't be redeemed."""
    colour = pdf.SOFT if words.obstacle else pdf.INK
    wide = page.text(x, y, voucher.shown_code, face=pdf.MONO, size=size, colour=colour, width=room)
    if words.obstacle:
        middle = y - size * 0.12
        page.line(x - 1, middle, x + wide + 1, middle, colour=pdf.ALERT, thick=0.6)


def _refusal(
    page: PdfDocument,
    x: float,
    y: float,
    width: float,
    height: float,
    words: _Words,
    *,
    big: float,
    small: float,
) -> None:
    """What stands where the QR code of a valid voucher is."""
    page.box(x, y, width, height, line=pdf.ALERT, thick=0.8, radius=2)
    middle = x + width / 2
    page.text(
        middle, y + height * 0.36, "NOT VALID", face=pdf.BOLD, size=big, colour=pdf.ALERT, align="centre"
    )
    page.paragraph(
        middle,
        y + height * 0.43,
        words.obstacle,
        width=width - 6,
        max_lines=4,
        sizes=(small, small - 1),
        align="centre",
    )


def _fact(
    page: PdfDocument, x: float, y: float, width: float, label: str, value: str, beneath: str = ""
) -> None:
    _label(page, x, y, label)
    page.paragraph(x, y + 1, value, width=width, max_lines=1, face=pdf.BOLD, sizes=(12, 10, 8.5, 7))
    page.text(x, y + 10, beneath, size=8, colour=pdf.SOFT, width=width)


def _logo(page: PdfDocument, x: float, y: float, width: float, height: float) -> None:
    """The shop's logo. A voucher is printed, and the mail with it sent, without one that is gone or broken by now."""
    try:
        page.picture(x, y, width, height, settings.BASE_DIR / "static" / settings.SHOP_LOGO)
    except Exception as error:  # noqa: BLE001 - what is raised for a broken file is of many kinds
        log.warning("A voucher is printed without the logo: %s", type(error).__name__)


def _label(page: PdfDocument, x: float, y: float, label: str, size: float = 7.5) -> None:
    page.text(x, y, label.upper(), size=size, colour=pdf.SOFT, spacing=0.25)


def _cutting_lines(sheet: PdfDocument) -> None:
    for column in range(1, COLUMNS):
        x = column * sheet.width / COLUMNS
        sheet.line(x, 0, x, sheet.height, colour=pdf.FAINT, thick=0.2, dashed=True)
    for row in range(1, ROWS):
        y = row * sheet.height / ROWS
        sheet.line(0, y, sheet.width, y, colour=pdf.FAINT, thick=0.2, dashed=True)
