"""A batch's codes as CSV (RFC 4180), for the people who hand them out, mostly with a spreadsheet.

It begins with a byte order mark, without which spreadsheets take UTF-8 for the code page of their country.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Final

from django.utils import timezone

from apps.core.dates import zone_name

from . import codes
from .models import Batch, Voucher

BYTE_ORDER_MARK: Final = "\ufeff"
# At the start, and after what some countries' spreadsheets take for the end of a cell; the last four are wide letters.
_FORMULA_START: Final = re.compile(r"(^ *|[;\t\r\n] *)(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


class _Echo:
    """Gives each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def lines(batch: Batch, vouchers: Iterable[Voucher]) -> Iterator[str]:
    """The header and a line for each voucher, with its full code; uses as issued.

    The expiry is local, in a form that spreadsheets take for a date; its header names the time zone.
    """
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
    header = ("code", "service", "type", f"expiry ({zone_name()})", "uses", "batch")
    yield BYTE_ORDER_MARK + writer.writerow(header)
    service, label = map(escape_formula, (batch.service_type, batch.label))
    for voucher in vouchers:
        expiry = f"{timezone.localtime(voucher.expiry_date):%Y-%m-%d %H:%M}"
        row = (
            codes.format_code(voucher.code),
            service,
            escape_formula(voucher.sold_as),
            expiry,
            voucher.total_uses,
            label,
        )
        yield writer.writerow(row)


def escape_formula(text: str) -> str:
    """The text as spreadsheets show it, and never run it as a formula: an apostrophe before what would start one."""
    return _FORMULA_START.sub(r"\1'", text)
