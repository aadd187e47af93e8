"""`manage.py issue_vouchers`: many vouchers at once for one owner, and their codes in a file, or on paper."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from tqdm import tqdm

from apps.core.errors import DomainError
from apps.core.exports.csv_file import SEPARATORS
from apps.core.management.exit_codes import INTERRUPTED
from apps.core.management.private_files import PrivateFile, os_user
from apps.users.management.arguments import staff_called, user_called
from apps.users.models import User
from apps.vouchers import batch_csv, voucher_pdf
from apps.vouchers.management.arguments import type_called
from apps.vouchers.models import Batch, Voucher
from apps.vouchers.services import batches, code_exports

ADVICE: Final = (
    "The vouchers are issued; the same command, with this --label and another file, writes their codes."
)


class Command(BaseCommand):
    help = (
        "Issues vouchers of a type to an owner as one batch. Killed in the middle, the same command with the same "
        "--label goes on to exactly that many; when all are there, it can still write the files of codes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--type", required=True, metavar="TYPE", help="its name or number")
        parser.add_argument("--owner", required=True, metavar="EMAIL", help="who gets them")
        parser.add_argument("--count", required=True, metavar="N", help="how many")
        parser.add_argument("--csv", metavar="FILE", help="write the full codes there, for you alone to read")
        parser.add_argument(
            "--separator", choices=tuple(SEPARATORS), default="comma", help="of the cells of the CSV (comma)"
        )
        parser.add_argument(
            "--pdf",
            metavar="FILE",
            help=f"write sheets to print and cut apart there, eight vouchers to a page; up to {voucher_pdf.MOST:,}",
        )
        parser.add_argument("--force", action="store_true", help="overwrite FILE")
        parser.add_argument("--label", help="of the batch; by default one is made")
        parser.add_argument(
            "--face-value", metavar="AMOUNT", help="of each voucher (default: the type's price)"
        )
        parser.add_argument("--by", metavar="EMAIL", help="the member of staff on whose behalf")

    def handle(
        self,
        *,
        type: str,
        owner: str,
        count: str | int,
        csv: str | None,
        separator: str,
        pdf: str | None,
        force: bool,
        label: str | None,
        face_value: str | Decimal | None,
        by: str | None,
        **options: Any,
    ) -> None:
        quantity, label = _count(str(count)), _label(label) if label is not None else ""
        value = _amount(str(face_value)) if face_value is not None else None
        if pdf and quantity > voucher_pdf.MOST:
            raise CommandError(
                f"--pdf takes {voucher_pdf.MOST:,} vouchers at the most. For more, take --csv to a printer's."
            )
        if csv and pdf and Path(csv).resolve() == Path(pdf).resolve():
            raise CommandError("--csv and --pdf name the same file.")
        voucher_type, user = type_called(type), user_called(owner)
        actor = staff_called(by) if by else None
        with contextlib.ExitStack() as stack:
            table, sheets = (
                stack.enter_context(PrivateFile(Path(name), overwrite=force, advice=ADVICE)) if name else None
                for name in (csv, pdf)
            )
            try:
                batch = batches.get_or_create_batch(
                    voucher_type=voucher_type,
                    owner=user,
                    quantity=quantity,
                    label=label,
                    face_value=value,
                    actor=actor,
                    note=self._note(),
                )
                self.stdout.write(f"Batch {batch.pk}: {batch.label}")
                try:
                    self._issue(batch)
                    if table:
                        vouchers = self._exported(batch, actor, "--csv")
                        table.write(batch_csv.parts(batch, vouchers, separator=separator))
                        self.stdout.write(f"Wrote {batch.quantity} codes to {csv}.")
                    if sheets:
                        vouchers = self._exported(batch, actor, "--pdf")
                        with progress_bar(batch.quantity, vouchers) as counted:
                            sheets.write([voucher_pdf.sheets_pdf(counted)])
                        self.stdout.write(f"Wrote {batch.quantity} codes to {pdf}.")
                except KeyboardInterrupt:
                    self.stderr.write(f"Stopped. What was issued stays; go on with --label '{batch.label}'.")
                    sys.exit(INTERRUPTED)
            except DomainError as error:
                differing = ", ".join(error.extra.get("differing", ()))
                raise CommandError(
                    error.detail + (f" Differing: {differing}." if differing else "")
                ) from error
            except OperationalError as error:
                raise CommandError(
                    "The database did not answer in time. What was issued stays; the same command with this "
                    "--label goes on."
                ) from error

    def _issue(self, batch: Batch) -> None:
        with progress_bar(batch.quantity) as progress:
            issued = batches.issue_remaining(
                batch=batch, on_progress=lambda done: progress.update(done - progress.n)
            )
        before = batch.quantity - issued
        self.stdout.write(f"Issued {issued} vouchers" + (f"; {before} were there before." if before else "."))

    def _exported(self, batch: Batch, actor: User | None, way: str) -> Iterator[Voucher]:
        return code_exports.export_codes_by_operator(batch=batch, actor=actor, note=self._note(way))

    def _note(self, way: str = "") -> str:
        return f"{' '.join(filter(None, ('issue_vouchers', way)))}, run by {os_user()}"[:200]


def progress_bar(total: int, each: Iterable[Voucher] | None = None) -> Any:
    """A progress bar on a terminal and nothing elsewhere; moved by iteration over `each`, or by its `update`."""
    return tqdm(each, total=total, unit=" vouchers", file=sys.stderr, disable=None, leave=False)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= batches.LARGEST):
        raise CommandError(f"--count is a whole number from 1 to {batches.LARGEST}.")
    return int(text)


def _label(text: str) -> str:
    text = text.strip()
    if not batches.is_label(text):
        raise CommandError(
            f"--label has 1 to {batches.LONGEST_LABEL} characters, none of them a control character, and no code."
        )
    return text


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
        if 0 <= amount < 10**8 and amount == amount.quantize(Decimal("0.01")):
            return amount
    except InvalidOperation:
        pass
    raise CommandError("--face-value is an amount such as 10.00.")
