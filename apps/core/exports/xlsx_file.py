"""XLSX (ISO/IEC 29500), with real dates and numbers, written row by row to temporary files in little memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.utils import timezone

from .columns import Column, Kind
from .text import is_plain, looks_like_formula, printable

ROWS_OF_A_SHEET: Final = 1_048_576  # with the header; the format has no more
_PART: Final = 64 * 1024  # bytes that are sent at a time
_WIDTHS: Final = {Kind.TEXT: 24, Kind.INTEGER: 12, Kind.AMOUNT: 14, Kind.MOMENT: 20, Kind.DAY: 12}

# Workbooks count days, and times as parts of days (from 1900-03-01 on, the 1st of January 1900 is 1).
_DAY_ZERO: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - of local times
_DAY: Final = timedelta(days=1)

Write = Callable[[int, int, Any], Any]


def xlsx_parts(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Any]],
    *,
    title: str,
    rows_of_a_sheet: int = ROWS_OF_A_SHEET,
) -> Iterator[bytes]:
    """The file in parts. The first comes when all rows were read, as the format has its directory at the end.

    More rows than a sheet takes go to further sheets, each with the header.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "export.xlsx")
        _write(path, columns, rows, title, rows_of_a_sheet)
        with path.open("rb") as file:
            while part := file.read(_PART):
                yield part


def _write(
    path: Path, columns: Sequence[Column], rows: Iterable[Sequence[Any]], title: str, rows_of_a_sheet: int
) -> None:
    import xlsxwriter  # not at the top: two MB for a process, and most never write such a file

    options = {"constant_memory": True, "tmpdir": str(path.parent)}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.use_zip64()  # a sheet of a million rows may be larger than 4 GB
        book.set_properties({"title": title.capitalize()})
        formats = _Formats(book)
        sheet = _Sheet(book, formats, title, columns, number=1)
        for row in rows:
            if sheet.length == rows_of_a_sheet:
                sheet.close()
                sheet = _Sheet(book, formats, title, columns, number=sheet.number + 1)
            sheet.add(row)
        sheet.close()


class _Sheet:
    """A sheet of the book, which is written from top to bottom: in this mode the book forgets each row at the next."""

    def __init__(
        self, book: Any, formats: "_Formats", title: str, columns: Sequence[Column], *, number: int
    ) -> None:
        name = title.capitalize()
        self.number = number
        self.sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
        self.columns = columns
        self.sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            self.sheet.set_column(place, place, _WIDTHS[column.kind])
            self.sheet.write_string(0, place, column.header, formats.header)
        self.length = 1
        self.zone = timezone.get_current_timezone()
        self.formats = formats
        self.writers = [self._writer(column.kind) for column in columns]

    def add(self, row: Sequence[Any]) -> None:
        """Write the next row."""
        for place, (write, value) in enumerate(zip(self.writers, row, strict=True)):
            if value is not None:
                write(self.length, place, value)
        self.length += 1

    def close(self) -> None:
        """Let whoever reads the sheet filter its rows."""
        self.sheet.autofilter(0, 0, max(1, self.length - 1), len(self.columns) - 1)

    def _writer(self, kind: Kind) -> Write:
        match kind:
            case Kind.INTEGER:
                return self._write_integer
            case Kind.AMOUNT:
                return self._write_amount
            case Kind.MOMENT:
                return self._write_moment
            case Kind.DAY:
                return self._write_day
        return self._write_text

    def _write_text(self, row: int, place: int, value: str) -> None:
        """As text whatever it looks like; what looks like a formula stays text also after somebody edits it."""
        if is_plain(value):
            self.sheet.write_string(row, place, value)
            return
        text = printable(value)
        text_format = self.formats.text if looks_like_formula(text) else None
        self.sheet.write_string(row, place, text, text_format)

    def _write_integer(self, row: int, place: int, value: int) -> None:
        self.sheet.write_number(row, place, value, self.formats.integer)

    def _write_amount(self, row: int, place: int, value: Decimal) -> None:
        exponent = value.as_tuple().exponent
        places = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        self.sheet.write_number(row, place, float(value), self.formats.amount(places))

    def _write_moment(self, row: int, place: int, value: datetime) -> None:
        local = value.astimezone(self.zone).replace(tzinfo=None, microsecond=0)
        self.sheet.write_number(row, place, (local - _DAY_ZERO) / _DAY, self.formats.moment)

    def _write_day(self, row: int, place: int, value: Any) -> None:
        self.sheet.write_datetime(row, place, value, self.formats.day)


class _Formats:
    """How cells of each kind are shown; a book has each format once."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self.text = book.add_format({"quote_prefix": True})
        self.integer = book.add_format({"num_format": "0"})
        self.moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.day = book.add_format({"num_format": "yyyy-mm-dd"})
        self.amounts: dict[int, Any] = {}

    def amount(self, places: int) -> Any:
        """The format of amounts with so many decimal places."""
        if places not in self.amounts:
            decimals = f".{'0' * places}" if places else ""
            self.amounts[places] = self.book.add_format({"num_format": f"#,##0{decimals}"})
        return self.amounts[places]
