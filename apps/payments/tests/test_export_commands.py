"""`manage.py export_…`: tables in files, by local days, as of one moment."""

import contextlib
import csv
import io
import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings, tag

from apps.core.exports import FILE_TYPES, export_file, recorded_export, tables
from apps.core.models import DataExport
from apps.payments.exports import TRANSACTIONS
from apps.payments.models import Transaction, TransactionStatus
from apps.users.tests.factories import make_customer, make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_batch_vouchers, make_type
from tests.support.cases import ApiTestCase, RaceTestCase
from tests.support.server import database_url

from .factories import make_completed_transaction, make_transaction

COMMANDS = ("export_transactions", "export_refunds", "export_vouchers", "export_usages")


class CommandTestCase(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.file = self.folder / "export.csv"
        self.customer = make_customer()

    def run_command(self, name: str, *arguments: str, output: Any = None) -> str:
        """What it writes on the standard error; on the standard output into `output`."""
        said = io.StringIO()
        call_command(name, *arguments, stdout=output or io.StringIO(), stderr=said)
        return said.getvalue()

    def rows(self, separator: str = ",") -> list[dict[str, str]]:
        text = self.file.read_text(encoding="utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))

    def numbers(self, *arguments: str) -> list[int]:
        self.run_command("export_transactions", "--output", str(self.file), "--force", *arguments)
        return [int(row["number"]) for row in self.rows()]


class ExportCommandTests(CommandTestCase):
    def test_each_writes_its_table_and_records_who_ran_it(self) -> None:
        paid = make_completed_transaction(user=self.customer, quantity=2)
        for name in COMMANDS:
            said = self.run_command(name, "--output", str(self.file), "--force")
            number = {"export_transactions": 1, "export_vouchers": 2}.get(name, 0)
            self.assertEqual(said, f"Wrote {number} {name.removeprefix('export_')} to {self.file}.\n")
            self.assertEqual(len(self.rows()), number)
            record = DataExport.objects.latest("pk")
            self.assertEqual((record.rows, record.actor, record.criteria), (number, None, ""))
            self.assertRegex(record.note, rf"^{name}, run by .*uid {os.getuid()}")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(list(self.folder.iterdir()), [self.file])
        self.assertEqual(self.numbers(), [paid.pk])

    def test_days_are_local_and_both_whole(self) -> None:
        moments = [
            datetime(2026, 10, 31, 3, 59, 59, 999_999, tzinfo=UTC),
            datetime(2026, 10, 31, 4, tzinfo=UTC),
            datetime(2026, 11, 2, 4, 59, 59, 999_999, tzinfo=UTC),  # an hour more: clocks went back
            datetime(2026, 11, 2, 5, tzinfo=UTC),
        ]
        paid = [make_completed_transaction(user=self.customer, completed_at=each).pk for each in moments]
        started = make_transaction(user=self.customer, created_at=moments[1]).pk
        with override_settings(TIME_ZONE="America/New_York"):
            days = ("--from", "2026-10-31", "--to", "2026-11-01")
            self.assertEqual(self.numbers(*days), paid[1:3])
            self.assertEqual(self.numbers(*days, "--date", "started"), [started])
            self.assertEqual(self.numbers("--to", "2026-10-30"), paid[:1])
            self.assertEqual(self.numbers("--from", "2026-11-02"), paid[3:])
            said = self.run_command("export_transactions", *days)
        self.assertEqual(
            said,
            "Wrote 2 transactions, paid from 2026-10-31 to 2026-11-01 (America/New York time),"
            " to the standard output.\n",
        )
        self.assertEqual(DataExport.objects.latest("pk").criteria, "paid from 2026-10-31 to 2026-11-01")

    def test_the_standard_output_has_the_file_alone(self) -> None:
        make_completed_transaction(user=self.customer)
        output = io.StringIO()
        self.run_command("export_transactions", "--output", "-", output=output)
        [row] = csv.DictReader(io.StringIO(output.getvalue().removeprefix("\ufeff"), newline=""))
        self.assertEqual((row["received"], row["currency"]), ("10.00", "USD"))
        binary = io.TextIOWrapper(io.BytesIO())
        self.run_command("export_transactions", "--format", "xlsx", output=binary)
        self.assertTrue(binary.buffer.getvalue().startswith(b"PK"))

    def test_semicolons_come_with_decimal_commas(self) -> None:
        make_completed_transaction(user=self.customer)
        self.run_command("export_transactions", "--separator", "semicolon", "--output", str(self.file))
        self.assertEqual(self.rows(";")[0]["received"], "10,00")

    def test_currencies_have_their_own_places(self) -> None:
        for currency, price in (("JPY", "1250"), ("USD", "7.50")):
            make_transaction(user=self.customer, voucher_type=make_type(price=price, currency=currency))
        self.run_command("export_transactions", "--output", str(self.file))
        self.assertEqual([row["amount"] for row in self.rows()], ["1250", "7.50"])

    def test_what_can_not_be_done_is_said_in_a_line_and_leaves_no_file(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        existing = self.folder / "taken.csv"
        existing.write_text("precious")
        output: Any
        for arguments, words, output in (
            (["--from", "2026-13-01"], "a day such as", None),
            (["--from", "yesterday"], "a day such as", None),
            (["--from", "0001-01-01"], "between 1970-01-01", None),
            (["--to", "9999-12-31"], "between 1970-01-01", None),
            (["--from", "2026-02-02", "--to", "2026-02-01"], "not after the last", None),
            (["--date", "used"], "invalid choice", None),
            (["--format", "pdf"], "invalid choice", None),
            (["--separator", "tab"], "invalid choice", None),
            (["--format", "xlsx", "--separator", "comma"], "for CSV", None),
            (["--format", "xlsx"], "not for a terminal", Terminal()),
            (["--output", str(existing)], "exists", None),
            (["--output", str(self.folder)], "is a folder", None),
            (["--output", str(self.folder / "no" / "x.csv")], "can't be written", None),
        ):
            with self.subTest(arguments), self.assertRaisesRegex(CommandError, words):
                self.run_command("export_transactions", *arguments, output=output)
        self.assertEqual(DataExport.objects.count(), 0)
        self.assertEqual((list(self.folder.iterdir()), existing.read_text()), ([existing], "precious"))

    def test_stopped_in_the_middle_it_leaves_no_file(self) -> None:
        make_completed_transaction(user=self.customer)
        with (
            patch.object(tables, "round_to_currency", side_effect=KeyboardInterrupt),
            self.assertRaises(SystemExit) as stopped,
        ):
            self.run_command("export_transactions", "--output", str(self.file))
        self.assertEqual((stopped.exception.code, list(self.folder.iterdir())), (130, []))
        self.assertEqual(DataExport.objects.get().rows, None)

    def test_a_terminal_gets_a_progress_bar_and_nothing_else_does(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        make_batch_vouchers(owner=self.customer, quantity=3)
        for stream, expected in ((Terminal(), True), (io.StringIO(), False)):
            with patch.object(sys, "stderr", stream):
                self.run_command("export_vouchers", "--output", str(self.file), "--force")
            self.assertEqual("/3" in stream.getvalue(), expected)

    def test_it_reads_in_chunks_and_asks_as_often_for_many_rows_as_for_few(self) -> None:
        make_batch_vouchers(owner=self.customer, quantity=7)
        with patch.object(tables, "CHUNK", 3):
            self.run_command("export_vouchers", "--output", str(self.file))
        numbers = [int(row["number"]) for row in self.rows()]
        self.assertEqual(numbers, sorted(Voucher.objects.values_list("pk", flat=True)))
        with self.assertNumQueries(3):  # the record, the rows, the record's end
            self.run_command("export_vouchers", "--output", str(self.file), "--force")


@tag("pooled")
class SnapshotTests(RaceTestCase):
    """What is paid, begun and refunded while a file is written is not in it, not even in part."""

    def setUp(self) -> None:
        super().setUp()
        self.customer = make_user()
        for _ in range(4):
            make_transaction(user=self.customer)

    def exported_during_business(self) -> list[tuple[str, str]]:
        """Number and status of each row of a file, during whose writing the last row changes and one comes."""
        statuses = list(Transaction.objects.order_by("pk").values_list("pk", "status"))
        with (
            patch.object(tables, "CHUNK", 1),
            patch.object(tables, "redact", self.business_before_the_rest()),
        ):
            parts = export_file(TRANSACTIONS, Transaction.objects.all(), FILE_TYPES["csv"]).parts
            text = b"".join(parts).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        self.expected = [(str(number), status) for number, status in statuses]
        return [(row["number"], row["status"]) for row in rows]

    def business_before_the_rest(self):
        """A mask that, as the first text is read, lets another connection change the last row and add one."""
        done: list[bool] = []

        def redact(text: str) -> str:
            if not done:
                done.append(True)
                self.together(self.do_business)
            return text

        return redact

    def do_business(self) -> None:
        with transaction.atomic():
            last = Transaction.objects.latest("pk")
            Transaction.objects.filter(pk=last.pk).update(status=TransactionStatus.FAILED)
            make_transaction(user=self.customer)

    def test_the_file_is_as_of_one_moment(self) -> None:
        rows = self.exported_during_business()
        self.assertEqual(rows, self.expected)
        self.assertEqual(Transaction.objects.count(), 5)
        self.assertEqual(DataExport.objects.get().rows, 4)

    @skipUnless(connection.vendor == "postgresql", "SQLite shows a query that goes on nothing of what comes")
    def test_control_pages_without_a_snapshot_mix_moments(self) -> None:
        def pages(queryset: Any, *, at: datetime) -> Any:
            """Keyset pages, each a query of its own."""
            last = 0
            while row := next(read(queryset.filter(pk__gt=last), at=at), None):
                yield row
                last = row[0]

        read = TRANSACTIONS.rows
        with (
            patch.object(recorded_export, "snapshot", lambda **options: nullcontext()),
            patch.object(TRANSACTIONS, "rows", pages),
        ):
            rows = self.exported_during_business()
        self.assertNotEqual(rows, self.expected)


class PipeTests(RaceTestCase):
    def test_whoever_reads_only_the_beginning_is_no_error(self) -> None:
        """As `manage.py export_vouchers | head -1` does."""
        owner = make_user()
        make_batch_vouchers(owner=owner, quantity=3000)
        environment = {**os.environ, "DATABASE_URL": database_url(), "DEBUG": "True"}
        with subprocess.Popen(
            [sys.executable, "manage.py", "export_vouchers"],
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as command:
            assert command.stdout and command.stderr
            self.assertIn(b"code", command.stdout.readline())
            command.stdout.close()
            said = command.stderr.read().decode()
        self.assertNotIn("Traceback", said)
        self.assertNotIn("Exception ignored", said)
        self.assertIsNone(DataExport.objects.get().rows)
        with contextlib.suppress(ProcessLookupError):
            command.kill()
