"""The files of `manage.py issue_vouchers`: every code is in them, for nobody else, and no file is lost."""

import codecs
import csv
import io
import logging
import os
import stat
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from unittest import skipUnless
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from apps.users.tests.factories import make_staff, make_user
from apps.vouchers import batch_csv, codes, voucher_pdf
from apps.vouchers.errors import BatchIncomplete
from apps.vouchers.models import Batch, BatchExport, Voucher
from apps.vouchers.services import batches, code_exports
from tests.support.cases import ApiTestCase

from .batch_command import BatchCommandTestCase
from .factories import make_type, make_voucher


class FileTests(BatchCommandTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.type = make_type(name="=cmd|' /C calc'!A0", max_uses=2)
        self.owner = make_user()

    def test_the_file_has_every_code_and_nobody_else_can_read_it(self):
        self.issue(csv=str(self.file), label="Große Klasse")
        header, *rows = self.rows()
        self.assertEqual(header, ["code", "service", "type", "expiry (UTC)", "uses", "batch"])
        voucher = Voucher.objects.order_by("pk")[0]
        expiry = f"{voucher.expiry_date:%Y-%m-%d} 23:59"
        self.assertEqual(
            rows[0],
            [voucher.shown_code, "exam_results", "'=cmd|' /C calc'!A0", expiry, "2", "Große Klasse"],
        )
        self.assertEqual({codes.parse(row[0]) for row in rows}, {v.code for v in Voucher.objects.all()})
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(list(self.folder.iterdir()), [self.file])

    def test_spreadsheets_read_its_letters_and_its_times_which_are_local(self):
        self.issue(csv=str(self.file), label="Große Klasse")
        Voucher.objects.update(expiry_date=datetime(2027, 7, 1, 22, 59, 59, tzinfo=UTC))
        with override_settings(TIME_ZONE="Europe/London"):
            self.issue(csv=str(self.file), label="Große Klasse", force=True)
        raw = self.file.read_bytes()
        self.assertEqual((raw[:3], raw.count(codecs.BOM_UTF8)), (codecs.BOM_UTF8, 1))
        header, row, *_ = self.rows()
        self.assertEqual((header[3], row[3]), ("expiry (Europe/London)", "2027-07-01 23:59"))

    def test_quotes_commas_and_lines_survive(self):
        batch = Batch(label="a\nb", voucher_type=self.type, service_type="-x")
        voucher = Voucher(
            type_name='The "best", really', code="2" * 16, expiry_date=timezone.now(), total_uses=1
        )
        rows = list(csv.reader(io.StringIO(b"".join(batch_csv.parts(batch, [voucher])).decode(), newline="")))
        self.assertEqual((rows[1][1], rows[1][2], rows[1][5]), ("'-x", 'The "best", really', "a\nb"))

    def test_cells_may_be_separated_by_semicolons(self):
        self.issue(csv=str(self.file), separator="semicolon", label="a, b")
        text = self.file.read_text(encoding="utf-8-sig")
        [header, first, *_] = csv.reader(io.StringIO(text, newline=""), delimiter=";")
        self.assertEqual(header, ["code", "service", "type", "expiry (UTC)", "uses", "batch"])
        self.assertEqual((first[4], first[5]), ("2", "a, b"))

    def test_each_export_is_recorded_with_who_and_how_many(self):
        staff = make_staff()
        self.issue(csv=str(self.file), label="x")
        self.issue(csv=str(self.folder / "again.csv"), label="x", by=staff.email)
        second, first = BatchExport.objects.all()
        self.assertEqual((first.actor, first.codes, second.actor, second.codes), (None, 5, staff, 5))
        self.assertRegex(first.note, rf"^issue_vouchers --csv, run by .*uid {os.getuid()}")
        self.assertEqual(self.file.read_text(), (self.folder / "again.csv").read_text())
        self.assertEqual(Voucher.objects.count(), 5)

    def test_a_file_is_never_overwritten_unasked(self):
        self.file.write_text("precious")
        with self.assertRaisesRegex(CommandError, "exists"):
            self.issue(csv=str(self.file))
        self.assertEqual((self.file.read_text(), Voucher.objects.count()), ("precious", 0))
        self.file.chmod(0o644)
        self.issue(csv=str(self.file), force=True)
        self.assertEqual(len(self.rows()), 6)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)

    def test_a_file_that_comes_up_meanwhile_is_not_overwritten_either(self):
        def issue_remaining(**options):
            self.file.write_text("precious")
            return original(**options)

        original = batches.issue_remaining
        with (
            patch.object(batches, "issue_remaining", issue_remaining),
            self.assertRaisesRegex(CommandError, "are issued"),
        ):
            self.issue(csv=str(self.file))
        self.assertEqual((self.file.read_text(), Voucher.objects.count()), ("precious", 5))
        self.assertEqual(list(self.folder.iterdir()), [self.file])

    def test_a_place_that_can_not_be_written_to_is_told_before_anything_is_issued(self):
        (self.folder / "link.csv").symlink_to("/nowhere/at/all")
        for place in (
            self.folder / "no/such/folder.csv",
            self.folder,
            self.folder / "link.csv",
            Path("/proc/x"),
        ):
            with self.assertRaisesRegex(CommandError, "written|folder|exists"):
                self.issue(csv=str(place))
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (0, 0))

    @skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
    def test_the_sheets_have_every_code_to_scan_and_nobody_else_can_read_them(self):
        from tests.support.paper import links_in, pages_of

        sheets = self.folder / "sheets.pdf"
        said = self.issue(csv=str(self.file), pdf=str(sheets), count=11, label="Class")
        self.assertIn(f"Wrote 11 codes to {sheets}.", said)
        pages = pages_of(sheets.read_bytes())
        self.assertEqual(len(pages), 2)
        scanned = [link.partition("#code=")[2] for page in pages for link in links_in(page)]
        self.assertEqual(sorted(scanned), sorted(row[0] for row in self.rows()[1:]))
        self.assertEqual(stat.S_IMODE(sheets.stat().st_mode), 0o600)
        paper, table = BatchExport.objects.all()
        self.assertEqual((paper.codes, table.codes), (11, 11))
        self.assertTrue(paper.note.startswith("issue_vouchers --pdf"))
        self.assertEqual(sorted(self.folder.iterdir()), sorted([self.file, sheets]))

    def test_what_can_not_be_printed_is_told_before_anything_is_issued(self):
        sheets = str(self.folder / "sheets.pdf")
        for words, options in (
            ("10,000 vouchers at the most", {"pdf": sheets, "count": 10_001}),
            ("same file", {"pdf": sheets, "csv": f"{self.folder}/../{self.folder.name}/sheets.pdf"}),
            ("written", {"pdf": str(self.folder / "no/such/folder.pdf"), "csv": str(self.file)}),
        ):
            with self.assertRaisesRegex(CommandError, words):
                self.issue(**options)
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (0, 0))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_stopped_while_it_prints_it_leaves_no_file_and_says_how_to_go_on(self):
        sheets = self.folder / "sheets.pdf"
        with (
            patch.object(voucher_pdf, "sheets_pdf", side_effect=KeyboardInterrupt),
            self.assertRaises(SystemExit) as stopped,
        ):
            self.issue(pdf=str(sheets), label="Class")
        self.assertEqual(stopped.exception.code, 130)
        self.assertEqual((Voucher.objects.count(), list(self.folder.iterdir())), (5, []))
        self.issue(pdf=str(sheets), label="Class")
        self.assertEqual((Voucher.objects.count(), list(self.folder.iterdir())), (5, [sheets]))

    def test_a_batch_that_is_not_complete_is_not_exported(self):
        batch = batches.get_or_create_batch(voucher_type=self.type, owner=self.owner, quantity=5)
        batches._issue_chunk(batch.pk, 2)
        batch.refresh_from_db()
        with self.assertRaises(BatchIncomplete):
            code_exports.export_codes_by_operator(batch=batch)
        self.assertEqual(BatchExport.objects.count(), 0)

    def test_the_codes_leave_in_the_file_alone(self):
        with self.assertLogs(level=logging.DEBUG) as logged:
            logging.getLogger("apps").debug("one line at least")
            said = self.issue(csv=str(self.file))
        everywhere = said + "".join(logged.output)
        for voucher in Voucher.objects.all():
            self.assertNotIn(voucher.code, everywhere)
            self.assertNotIn(voucher.shown_code, everywhere)

    def test_a_terminal_gets_a_progress_bar_and_nothing_else_does(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        for stream, expected in ((Terminal(), True), (io.StringIO(), False)):
            with patch.object(sys, "stderr", stream):
                call_command(
                    "issue_vouchers",
                    type=self.type.name,
                    owner=self.owner.email,
                    count=3,
                    stdout=io.StringIO(),
                )
            self.assertEqual("vouchers" in stream.getvalue(), expected)

    def test_the_pages_of_an_export_lose_no_voucher(self):
        batch = batches.get_or_create_batch(voucher_type=self.type, owner=self.owner, quantity=5)
        batches.issue_remaining(batch=batch)
        make_voucher(owner=self.owner, voucher_type=self.type)
        exported = list(code_exports._vouchers_of(batch, page=2))
        self.assertEqual(exported, list(batch.vouchers.order_by("pk")))
