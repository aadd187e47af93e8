"""A batch's codes as CSV (RFC 4180), for the people who hand them out."""

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Final

from . import codes
from .models import Batch, Voucher

COLUMNS: Final = ("code", "service", "type", "expiry", "uses", "batch")
# At the start, and after what some countries' spreadsheets take for the end of a cell; the last four are wide letters.
_FORMULA_START: Final = re.compile(r"(^ *|[;\t\r\n] *)(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


class _Echo:
    """Gives each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def lines(batch: Batch, vouchers: Iterable[Voucher]) -> Iterator[str]:
    """The header and a line for each voucher, with its full code; expiry in UTC, uses as issued."""
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
    yield writer.writerow(COLUMNS)
    service, name, label = map(plain, (batch.service_type, batch.voucher_type.name, batch.label))
    for voucher in vouchers:
        expiry = f"{voucher.expiry_date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        row = (codes.shown(voucher.code), service, name, expiry, voucher.total_uses, label)
        yield writer.writerow(row)


def plain(text: str) -> str:
    """The text as spreadsheets show it, and never run it as a formula: an apostrophe before what would start one."""
    return _FORMULA_START.sub(r"\1'", text)
