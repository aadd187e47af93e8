"""A batch's codes as CSV, for the people who hand them out, mostly with a spreadsheet."""

from collections.abc import Iterable, Iterator
from typing import Final

from django.utils import timezone

from apps.core.dates import zone_name
from apps.core.exports import Column, Kind
from apps.core.exports.csv_file import csv_parts

from . import codes
from .models import Batch, Voucher

EXPIRY: Final = "%Y-%m-%d %H:%M"  # which spreadsheets take for a time


def parts(batch: Batch, vouchers: Iterable[Voucher], *, separator: str = "comma") -> Iterator[bytes]:
    """The file in parts: the header and a line for each voucher, with its full code; uses as issued.

    The expiry is local; its header names the time zone. `separator` is "comma" or "semicolon".
    """
    columns = [
        *(Column(title) for title in ("code", "service", "type", f"expiry ({zone_name()})")),
        Column("uses", kind=Kind.INTEGER),
        Column("batch"),
    ]
    rows = (
        (
            codes.format_code(voucher.code),
            batch.service_type,
            voucher.sold_as,
            f"{timezone.localtime(voucher.expiry_date):{EXPIRY}}",
            voucher.total_uses,
            batch.label,
        )
        for voucher in vouchers
    )
    return csv_parts(columns, rows, separator=separator)
