"""`manage.py issue_vouchers`: many vouchers at once for one owner, and their codes in a file."""

import contextlib
import os
import pwd
import sys
import tempfile
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from tqdm import tqdm

from apps.core.errors import DomainError
from apps.vouchers import batch_csv
from apps.vouchers.management.finding import staff_called, type_called, user_called
from apps.vouchers.models import Batch
from apps.vouchers.services import batches

LONGEST_LABEL: Final = 200
INTERRUPTED: Final = 130  # as shells say of SIGINT


class Command(BaseCommand):
    help = (
        "Issues vouchers of a type to an owner as one batch. Killed in the middle, the same command with the same "
        "--label goes on to exactly that many; when all are there, it can still write the file of codes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--type", required=True, metavar="TYPE", help="its name or number")
        parser.add_argument("--owner", required=True, metavar="EMAIL", help="who gets them")
        parser.add_argument("--count", required=True, metavar="N", help="how many")
        parser.add_argument("--csv", metavar="FILE", help="write the full codes there, for you alone to read")
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
        force: bool,
        label: str | None,
        face_value: str | Decimal | None,
        by: str | None,
        **options: Any,
    ) -> None:
        quantity, label = _count(str(count)), _label(label) if label is not None else ""
        value = _amount(str(face_value)) if face_value is not None else None
        voucher_type, user = type_called(type), user_called(owner)
        actor = staff_called(by) if by else None
        with PrivateFile(Path(csv), overwrite=force) if csv else contextlib.nullcontext() as file:
            try:
                batch = batches.open_batch(
                    voucher_type=voucher_type,
                    owner=user,
                    quantity=quantity,
                    label=label,
                    face_value=value,
                    actor=actor,
                )
                self.stdout.write(f"Batch {batch.pk}: {batch.label}")
                self._issue(batch)
                if file:
                    note = f"issue_vouchers, run by {_os_user()}"[:200]
                    vouchers = batches.export_codes(batch=batch, actor=actor, note=note)
                    file.write(batch_csv.lines(batch, vouchers))
                    self.stdout.write(f"Wrote {batch.quantity} codes to {csv}.")
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
        with tqdm(
            total=batch.quantity, unit=" vouchers", file=sys.stderr, disable=None, leave=False
        ) as progress:
            try:
                made = batches.issue_rest(
                    batch=batch, told=lambda issued: progress.update(issued - progress.n)
                )
            except KeyboardInterrupt:
                progress.close()
                self.stderr.write(f"Stopped. What was issued stays; go on with --label '{batch.label}'.")
                sys.exit(INTERRUPTED)
        before = batch.quantity - made
        self.stdout.write(f"Issued {made} vouchers" + (f"; {before} were there before." if before else "."))


class PrivateFile:
    """A file that appears at its path whole or not at all, with mode 0600, and overwrites none unasked.

    Whether it can be made is tried on entering, so that nothing is issued for want of a place for the codes.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.path = path
        self.overwrite = overwrite

    def __enter__(self) -> Self:
        if self.path.is_dir():
            raise CommandError(f"{self.path} is a folder.")
        if not self.overwrite and os.path.lexists(self.path):
            raise CommandError(f"{self.path} exists. Choose another name, or --force to overwrite it.")
        try:
            self.descriptor, self.temporary = tempfile.mkstemp(
                prefix=f".{self.path.name[:100]}.", suffix=".part", dir=self.path.parent
            )
        except OSError as error:
            raise CommandError(f"{self.path} can't be written: {error.strerror}.") from error
        return self

    def write(self, lines: Iterable[str]) -> None:
        """Write all lines, then give the file its name. Raises CommandError."""
        try:
            with open(self.descriptor, "w", encoding="utf-8", newline="", closefd=False) as file:
                file.writelines(lines)
                file.flush()
                os.fsync(self.descriptor)
            if not self.overwrite:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))  # ours from here on, or an error
            os.replace(self.temporary, self.path)
        except OSError as error:
            raise CommandError(
                f"{self.path} can't be written: {error.strerror}. The vouchers are issued; the same command, "
                "with this --label and another file, writes their codes."
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= batches.LARGEST):
        raise CommandError(f"--count is a whole number from 1 to {batches.LARGEST}.")
    return int(text)


def _label(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= LONGEST_LABEL or not text.isprintable():
        raise CommandError(f"--label has 1 to {LONGEST_LABEL} characters, none of them a control character.")
    return text


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
        if 0 <= amount < 10**8 and amount == amount.quantize(Decimal("0.01")):
            return amount
    except InvalidOperation:
        pass
    raise CommandError("--face-value is an amount such as 10.00.")


def _os_user() -> str:
    try:
        return f"{pwd.getpwuid(os.getuid()).pw_name} (uid {os.getuid()})"
    except KeyError:  # nobody's number, as in containers
        return f"uid {os.getuid()}"
