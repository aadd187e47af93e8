"""CSV (RFC 4180), as spreadsheets read it.

It begins with a byte order mark, without which they take UTF-8 for the code page of their country. Where a semicolon
separates cells, a comma separates decimals: spreadsheets of such countries would take 10.05 for a day in May.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from .columns import Column, Kind
from .text import escape_formula, is_plain, printable

BYTE_ORDER_MARK: Final = "\ufeff"
SEPARATORS: Final = {"comma": ",", "semicolon": ";"}
_PART: Final = 64 * 1024  # characters that are sent at a time


def csv_parts(
    columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, separator: str = "comma"
) -> Iterator[bytes]:
    """The file in parts: the header and a line for each row. `separator` is a name of SEPARATORS."""
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=SEPARATORS[separator], quoting=csv.QUOTE_ALL)
    writers = [_writer(column.kind, decimal_comma=separator == "semicolon") for column in columns]
    lines.write(BYTE_ORDER_MARK)
    writer.writerow([escape_formula(column.header) for column in columns])
    for row in rows:
        if lines.tell() >= _PART:
            yield lines.getvalue().encode()
            lines.seek(0)
            lines.truncate()
        writer.writerow(
            ["" if value is None else write(value) for write, value in zip(writers, row, strict=True)]
        )
    yield lines.getvalue().encode()


def _writer(kind: Kind, *, decimal_comma: bool) -> Callable[[Any], str]:
    match kind:
        case Kind.INTEGER:
            return str
        case Kind.AMOUNT:
            return _amount_with_comma if decimal_comma else _amount
        case Kind.MOMENT:
            return _moment_writer()
        case Kind.DAY:
            return date.isoformat
    return _text


def _text(value: str) -> str:
    return value if is_plain(value) else escape_formula(printable(value))


def _amount(value: Decimal) -> str:
    return f"{value:f}"


def _amount_with_comma(value: Decimal) -> str:
    return f"{value:f}".replace(".", ",")


def _moment_writer() -> Callable[[datetime], str]:
    """Writes local times such as 2026-11-29 23:59:59, which spreadsheets take for a time."""
    zone = timezone.get_current_timezone()
    return lambda value: value.astimezone(zone).replace(tzinfo=None).isoformat(" ", "seconds")
