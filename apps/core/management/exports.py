"""What the commands share that export a table."""

import contextlib
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from tqdm import tqdm

from apps.core.dates import zone_name
from apps.core.exports import FILE_TYPES, Days, DaysInvalid, FileType, Table, export_file
from apps.core.exports.csv_file import SEPARATORS
from apps.core.management.exit_codes import INTERRUPTED
from apps.core.management.private_files import PrivateFile, os_user

STANDARD_OUTPUT: Final = "-"


class ExportCommand(BaseCommand):
    """Writes a table to a file, or to the standard output, with what else there is to say on the standard error."""

    table: ClassVar[Table]

    def add_arguments(self, parser: CommandParser) -> None:
        days = [each.name for each in self.table.days]
        parser.add_argument(
            "--from", type=_day, metavar="DATE", dest="first", help="the first day, YYYY-MM-DD, local time"
        )
        parser.add_argument("--to", type=_day, metavar="DATE", dest="last", help="the last day, all of it")
        if len(days) > 1:
            parser.add_argument(
                "--date",
                choices=days,
                default=days[0],
                dest="days",
                help=f"which date is in these days ({days[0]})",
            )
        parser.add_argument("--format", choices=("csv", "xlsx"), default="csv", help="of the file (csv)")
        parser.add_argument(
            "--separator",
            choices=tuple(SEPARATORS),
            help="of the cells of a CSV (comma); with semicolon, amounts have a decimal comma",
        )
        parser.add_argument(
            "--output",
            default=STANDARD_OUTPUT,
            metavar="FILE",
            help="for you alone to read; - is the standard output (-)",
        )
        parser.add_argument("--force", action="store_true", help="overwrite FILE")

    def handle(
        self,
        *arguments: Any,
        first: date | None,
        last: date | None,
        format: str,
        separator: str | None,
        output: str,
        force: bool,
        days: str = "",
        **options: Any,
    ) -> None:
        file_type = _file_type(format, separator)
        days = days or self.table.days[0].name
        [by] = [each for each in self.table.days if each.name == days]
        try:
            rows = self.choose(by, first, last)
        except DaysInvalid as error:
            raise CommandError(str(error)) from error
        words = _words(days, first, last)
        with contextlib.ExitStack() as stack:
            write = self._writer(stack, output, file_type, force=force)
            try:
                total = self.count(rows) if sys.stderr.isatty() else None
                bar = stack.enter_context(
                    tqdm(total=total, unit=f" {self.table.name}", file=sys.stderr, disable=None, leave=False)
                )
                exported = export_file(
                    self.table,
                    rows,
                    file_type,
                    criteria=words,
                    note=f"{self.table.command}, run by {os_user()}",
                    unlimited=True,
                    on_progress=lambda done: bar.update(done - bar.n),
                )
                # Closed while the database still is there to close its cursor with, also where nobody reads on.
                write(stack.enter_context(contextlib.closing(exported.parts)))
            except KeyboardInterrupt:
                self.stderr.write("Stopped.")
                sys.exit(INTERRUPTED)
            except DatabaseError as error:
                raise CommandError(
                    f"The database did not answer ({type(error).__name__}). What was written is not complete."
                ) from error
        place = "the standard output" if output == STANDARD_OUTPUT else output
        what = f"{exported.record.rows:,} {self.table.name}"
        self.stderr.write(f"Wrote {what}{f', {words} ({zone_name()} time),' if words else ''} to {place}.")

    def choose(self, days: Days, first: date | None, last: date | None) -> Any:
        """The rows of these days, as the table reads them. Raises DaysInvalid."""
        return days.choose(self.table.model._default_manager.all(), first, last)

    def count(self, rows: Any) -> int | None:
        """How many rows these are, for the progress bar; None if that is not known before."""
        number: int = rows.order_by().count()
        return number

    def _writer(
        self, stack: contextlib.ExitStack, output: str, file_type: FileType, *, force: bool
    ) -> Callable[[Iterable[bytes]], None]:
        """What writes the parts of the file. Raises CommandError where it can't."""
        if output != STANDARD_OUTPUT:
            return stack.enter_context(PrivateFile(Path(output), overwrite=force)).write
        stream: Any = getattr(self.stdout, "_out", self.stdout)
        if not file_type.is_streamed and stream.isatty():
            raise CommandError("This file is not for a terminal: name one with --output.")
        binary = getattr(stream, "buffer", None)

        def write(parts: Iterable[bytes]) -> None:
            try:
                for part in parts:
                    if binary is None:
                        stream.write(part.decode())
                    else:
                        binary.write(part)
                (binary or stream).flush()
            except BrokenPipeError:  # whoever reads has read enough, such as head
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                sys.exit(128 + signal.SIGPIPE)

        return write


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError("a day such as 2026-11-30") from error


def _file_type(format: str, separator: str | None) -> FileType:
    if format == "xlsx":
        if separator:
            raise CommandError("--separator is for CSV.")
        return FILE_TYPES["xlsx"]
    [file_type] = [each for each in FILE_TYPES.values() if each.separator == (separator or "comma")]
    return file_type


def _words(days: str, first: date | None, last: date | None) -> str:
    bounds = [f"{word} {day}" for word, day in (("from", first), ("to", last)) if day]
    return " ".join([days, *bounds]) if bounds else ""
