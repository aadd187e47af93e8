"""The types of file that a table can be exported as."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .columns import Column
from .csv_file import csv_parts
from .xlsx_file import xlsx_parts


@dataclass(frozen=True)
class FileType:
    """A type of file. `separator` is of a CSV; an XLSX has none."""

    label: str
    extension: str
    media_type: str
    separator: str = ""

    @property
    def is_streamed(self) -> bool:
        """Whether its first rows can be sent before its last are read."""
        return bool(self.separator)

    def parts(
        self, columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, title: str
    ) -> Iterator[bytes]:
        """The file in parts, with a header and these rows. Rows are read as the parts are taken."""
        if self.separator:
            return csv_parts(columns, rows, separator=self.separator)
        return xlsx_parts(columns, rows, title=title)


_CSV: Final = ("csv", "text/csv; charset=utf-8")
FILE_TYPES: Final = {
    "csv": FileType("CSV, with commas", *_CSV, "comma"),
    "csv-semicolon": FileType("CSV, with semicolons and decimal commas", *_CSV, "semicolon"),
    "xlsx": FileType(
        "Excel workbook (XLSX)", "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ),
}
