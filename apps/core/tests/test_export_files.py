"""Tables as CSV and XLSX, read back by the standard library and by openpyxl, as other programs would."""

import codecs
import csv
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import Any
from unittest import skipUnless

import xlsxwriter  # noqa: F401 - else the first file would load it, and the test of memory see it
from django.test import SimpleTestCase, override_settings

from apps.core.exports import FILE_TYPES, Column, Kind
from apps.core.exports.columns import utc_offset
from apps.core.exports.csv_file import csv_parts
from apps.core.exports.text import escape_formula, is_plain, printable
from apps.core.exports.xlsx_file import xlsx_parts

COLUMNS = (
    Column("name"),
    Column("uses", kind=Kind.INTEGER),
    Column("amount", kind=Kind.AMOUNT),
    Column("paid", kind=Kind.MOMENT),
    Column("day", kind=Kind.DAY),
)
HEADERS = ["name", "uses", "amount", "paid (UTC)", "day (UTC)"]
MOMENT = datetime(2026, 11, 29, 23, 59, 59, 999_999, tzinfo=UTC)
ROW = ("Große Klasse", 3, Decimal("1234.50"), MOMENT, date(2026, 2, 28))

AWKWARD = (
    "=1+1",
    "  =1+1",
    "+233 20 000 0000",
    "-5",
    "@SUM(A1)",
    "\uff1d1+1",
    '=HYPERLINK("https://example.org","x")',
    "a;=1+1",
    'The "best", really',
    "'",
    "two\nlines",
    "tab\tin it",
    "  blanks  ",
    "Ωmega 🎓 👩‍🏫",
    "مرحبا",
    "שלום 123",
    "https://example.org/",
    "0012",
    "1e5",
    "TRUE",
    "2026-01-02",
    "<&>]]>",
    "NULL",
)


def read_csv(parts, separator=",") -> list[list[str]]:
    text = b"".join(parts).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def texts(values):
    return [(value, None, None, None, None) for value in values]


class CsvTests(SimpleTestCase):
    def test_spreadsheets_take_it_for_utf_8_and_read_numbers_and_local_times(self) -> None:
        content = b"".join(csv_parts(COLUMNS, [ROW]))
        self.assertEqual((content[:3], content.count(codecs.BOM_UTF8)), (codecs.BOM_UTF8, 1))
        self.assertEqual(
            read_csv([content]),
            [HEADERS, ["Große Klasse", "3", "1234.50", "2026-11-29 23:59:59", "2026-02-28"]],
        )

    def test_where_a_semicolon_separates_cells_a_comma_separates_decimals(self) -> None:
        row = read_csv(csv_parts(COLUMNS, [ROW], separator="semicolon"), ";")[1]
        self.assertEqual(row, ["Große Klasse", "3", "1234,50", "2026-11-29 23:59:59", "2026-02-28"])

    def test_empty_cells_are_empty_and_negative_amounts_stay_numbers(self) -> None:
        rows = [(None,) * 5, (None, -1, Decimal("-5.00"), None, None)]
        self.assertEqual(read_csv(csv_parts(COLUMNS, rows))[1:], [[""] * 5, ["", "-1", "-5.00", "", ""]])

    def test_times_are_local_and_the_header_names_the_zone(self) -> None:
        summer = datetime(2026, 7, 1, 3, 59, 59, tzinfo=UTC)
        with override_settings(TIME_ZONE="America/New_York"):
            header, row = read_csv(csv_parts(COLUMNS, [(None, None, None, summer, None)]))
        self.assertEqual((header[3], row[3]), ("paid (America/New York)", "2026-06-30 23:59:59"))

    def test_the_hour_that_comes_twice_is_told_apart_by_its_offset(self) -> None:
        columns = (Column("paid", kind=Kind.MOMENT), Column("paid, offset"))
        moments = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (5, 6)]
        with override_settings(TIME_ZONE="America/New_York"):
            rows = read_csv(csv_parts(columns, [(each, utc_offset(each)) for each in moments]))[1:]
        self.assertEqual(rows, [["2026-11-01 01:30:00", "UTC-04:00"], ["2026-11-01 01:30:00", "UTC-05:00"]])
        with override_settings(TIME_ZONE="Asia/Kathmandu"):
            self.assertEqual(utc_offset(MOMENT), "UTC+05:45")

    def test_no_cell_is_a_formula(self) -> None:
        for start in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"):
            self.assertEqual(escape_formula(f"{start}1+1"), f"'{start}1+1")
            for before in ("  ", "Exam;", "Exam; ", "Exam\t", "Exam\n"):
                self.assertEqual(escape_formula(f"{before}{start}1+1"), f"{before}'{start}1+1")
        for harmless in ("", "Exam", "a=b", "'=1", "3-4", "Ω", " Exam", "a; b"):
            self.assertEqual(escape_formula(harmless), harmless)

    def test_what_passes_at_one_look_would_be_left_as_it_is(self) -> None:
        for text in (
            *AWKWARD,
            "Exam",
            "a@b.example",
            "····-AB12",
            "2026-01-02 x",
            "a\tb",
            "a;b",
            "\uff1d",
            "\u200e=1",
        ):
            if is_plain(text):
                self.assertEqual(escape_formula(printable(text)), text)
        self.assertTrue(is_plain("Große Klasse (2027), a@b.example"))
        for text in (
            "",
            "=1",
            "-1",
            "+1",
            "@x",
            " =1",
            "a;=1",
            "a\n=1",
            "a\t=1",
            "\uff1d1",
            "a\0",
            "x" * 40_000,
        ):
            self.assertFalse(is_plain(text), text[:10])

    def test_awkward_texts_survive(self) -> None:
        for separator, sign in (("comma", ","), ("semicolon", ";")):
            rows = read_csv(csv_parts(COLUMNS, texts(AWKWARD), separator=separator), sign)[1:]
            self.assertEqual([row[0] for row in rows], [escape_formula(text) for text in AWKWARD])

    def test_what_no_cell_can_hold_is_replaced(self) -> None:
        rows = read_csv(csv_parts(COLUMNS, texts(["a\0b\x1b\ud800", "x" * 40_000])))[1:]
        self.assertEqual(rows[0][0], "a\ufffdb\ufffd\ufffd")
        self.assertEqual((len(rows[1][0]), rows[1][0][-1]), (32_767, "…"))

    def test_it_sends_the_first_rows_before_the_last_are_read(self) -> None:
        read = 0

        def rows():
            nonlocal read
            for _ in range(10_000):
                read += 1
                yield ROW

        parts = csv_parts(COLUMNS, rows())
        first = next(parts)
        self.assertLess(read, 2000)
        rest = b"".join(parts)
        self.assertEqual(read, 10_000)
        self.assertEqual((first + rest).count(b"\r\n"), 10_001)


@skipUnless(find_spec("openpyxl"), "comes with requirements-dev.txt")
class XlsxTests(SimpleTestCase):
    def book(self, rows, columns=COLUMNS, **options: Any) -> Any:
        import openpyxl

        content = b"".join(xlsx_parts(columns, rows, title="transactions", **options))
        return openpyxl.load_workbook(io.BytesIO(content))

    def test_numbers_and_times_are_real_and_the_header_stays_in_sight(self) -> None:
        book = self.book([ROW])
        [sheet] = book.worksheets
        self.assertEqual(
            (sheet.title, sheet.freeze_panes, sheet.auto_filter.ref), ("Transactions", "A2", "A1:E2")
        )
        header, row = sheet.iter_rows()
        self.assertEqual([cell.value for cell in header], HEADERS)
        self.assertEqual(
            [cell.value for cell in row],
            ["Große Klasse", 3, 1234.5, datetime(2026, 11, 29, 23, 59, 59), datetime(2026, 2, 28)],
        )
        self.assertEqual([cell.data_type for cell in row], ["s", "n", "n", "d", "d"])
        self.assertEqual(
            [cell.number_format for cell in row[2:]], ["#,##0.00", "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd"]
        )

    def test_amounts_have_the_places_of_their_currency(self) -> None:
        amounts = (Decimal("1250"), Decimal("-1.5"), Decimal("1.234"))
        [sheet] = self.book([(None, None, amount, None, None) for amount in amounts]).worksheets
        cells = [row[2] for row in sheet.iter_rows(min_row=2)]
        self.assertEqual([cell.value for cell in cells], [1250, -1.5, 1.234])
        self.assertEqual([cell.number_format for cell in cells], ["#,##0", "#,##0.0", "#,##0.000"])

    def test_times_are_local_also_in_the_hour_that_comes_twice(self) -> None:
        moments = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (4, 5, 6, 7)]
        with override_settings(TIME_ZONE="America/New_York"):
            [sheet] = self.book([(None, None, None, each, None) for each in moments]).worksheets
        header, *cells = [row[3].value for row in sheet.iter_rows()]
        self.assertEqual(header, "paid (America/New York)")
        self.assertEqual(cells, [datetime(2026, 11, 1, hour, 30) for hour in (0, 1, 1, 2)])

    def test_awkward_texts_are_texts_and_never_formulas(self) -> None:
        [sheet] = self.book(texts(AWKWARD)).worksheets
        cells = [row[0] for row in sheet.iter_rows(min_row=2)]
        self.assertEqual([cell.value for cell in cells], list(AWKWARD))
        self.assertEqual({cell.data_type for cell in cells}, {"s"})
        self.assertEqual([cell.value for cell in cells if cell.quotePrefix], [*AWKWARD[:7]])
        self.assertEqual([cell.hyperlink for cell in cells if cell.hyperlink], [])

    def test_what_no_cell_can_hold_is_replaced(self) -> None:
        [sheet] = self.book(texts(["a\0b\x1b\ud800\uffff", "x" * 40_000])).worksheets
        values = [row[0].value for row in sheet.iter_rows(min_row=2)]
        self.assertEqual(values[0], "a\ufffdb\ufffd\ufffd\ufffd")
        self.assertEqual((len(values[1]), values[1][-1]), (32_767, "…"))

    def test_more_rows_than_a_sheet_takes_go_to_further_sheets(self) -> None:
        rows = [(None, number, None, None, None) for number in range(7)]
        book = self.book(rows, rows_of_a_sheet=4)
        self.assertEqual(book.sheetnames, ["Transactions", "Transactions 2", "Transactions 3"])
        read = [[row[1].value for row in sheet.iter_rows()] for sheet in book.worksheets]
        self.assertEqual(read, [["uses", 0, 1, 2], ["uses", 3, 4, 5], ["uses", 6]])
        self.assertEqual(self.book([]).worksheets[0].max_row, 1)

    def test_what_the_format_would_take_for_an_escape_is_escaped_itself(self) -> None:
        content = b"".join(xlsx_parts(COLUMNS, texts(["_x0041_"]), title="transactions"))
        sheet = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml")
        self.assertIn(b">_x005F_x0041_<", sheet)

    def test_it_is_a_sound_archive(self) -> None:
        content = b"".join(FILE_TYPES["xlsx"].parts(COLUMNS, [ROW], title="transactions"))
        self.assertIsNone(zipfile.ZipFile(io.BytesIO(content)).testzip())


class MemoryTests(SimpleTestCase):
    """A file of 4 MB, of rows that are long so that there need not be many."""

    ROWS = 2000
    BOUND = 2_000_000  # bytes of Python objects at once

    def rows(self):
        return ((f"{number} {'x' * 2000}", *ROW[1:]) for number in range(self.ROWS))

    @contextmanager
    def peak(self) -> Iterator[list[int]]:
        """The most memory that Python objects took in the block, in bytes, as the only item at its end."""
        peaks: list[int] = []
        tracemalloc.start()
        try:
            yield peaks
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    def test_a_file_is_never_in_memory_as_a_whole(self) -> None:
        for name, file_type in FILE_TYPES.items():
            with self.subTest(name):
                with self.peak() as peaks:
                    length = sum(map(len, file_type.parts(COLUMNS, self.rows(), title="transactions")))
                self.assertGreater(length, self.BOUND * 2 if file_type.is_streamed else 10_000)
                self.assertLess(peaks[0], self.BOUND)

    def test_control_one_that_were_would_be_seen(self) -> None:
        with self.peak() as peaks:
            list(csv_parts(COLUMNS, self.rows()))
        self.assertGreater(peaks[0], self.BOUND)
