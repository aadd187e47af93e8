"""`manage.py issue_vouchers`: exactly as many as asked for, however often it is killed, and codes only in the file."""

import codecs
import csv
import io
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless
from unittest.mock import patch
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import SimpleTestCase, override_settings
from django.utils import timezone

from apps.users.models import User
from apps.users.tests.factories import make_deactivated, make_staff, make_user
from apps.vouchers import batch_csv, codes, voucher_pdf
from apps.vouchers.errors import BatchDiffers, BatchIncomplete, OwnerInactive, VoucherTypeNotFound
from apps.vouchers.models import Batch, BatchExport, Voucher, VoucherEvent, VoucherType
from apps.vouchers.services import batches
from apps.vouchers.services.issuance import Terms, issue_vouchers
from tests.support.cases import ApiTestCase, RaceTestCase

from .factories import make_type, make_voucher


class Folder(SimpleTestCase):
    """A test that runs the command, with a folder of its own for its files."""

    type: VoucherType
    owner: User

    def setUp(self):
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "codes.csv"

    def issue(self, **options):
        """Run the command; what it said, on both ways out."""
        said = io.StringIO()
        defaults = {"type": self.type.name, "owner": self.owner.email, "count": 5}
        call_command("issue_vouchers", **{**defaults, **options}, stdout=said, stderr=said)
        return said.getvalue()

    def rows(self):
        with self.file.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))


class IssueTests(Folder, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.type = make_type(name="Exam", price="12.50", max_uses=3, validity_days=30)
        self.owner = make_user(email="school@example.org")

    def assertRefused(self, words, **options):
        with self.assertRaisesRegex(CommandError, words):
            self.issue(**options)
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (0, 0))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_it_issues_a_batch_with_the_terms_of_the_type(self):
        staff = make_staff()
        self.assertIn("Issued 5 vouchers.", self.issue(label="Class of 2027", by=staff.email))
        batch = Batch.objects.get()
        self.assertEqual((batch.label, batch.quantity, batch.created_by), ("Class of 2027", 5, staff))
        self.assertIsNotNone(batch.completed_at)
        terms = {
            (v.user, v.voucher_type, v.face_value, v.currency, v.total_uses, v.uses_remaining, v.service_type)
            for v in Voucher.objects.filter(batch=batch)
        }
        self.assertEqual(
            terms, {(self.owner, self.type, Decimal("12.50"), "USD", 3, 3, self.type.service_type)}
        )
        told = set(VoucherEvent.objects.values_list("kind", "actor", "reason"))
        self.assertEqual(told, {("issued", staff.pk, "Batch Class of 2027")})
        self.assertEqual(VoucherEvent.objects.count(), 5)

    def test_it_says_who_ran_it(self):
        self.issue()
        self.assertRegex(Batch.objects.get().note, rf"^issue_vouchers, run by .*uid {os.getuid()}")

    def test_a_type_is_called_by_name_or_number_and_the_owner_in_any_case(self):
        self.issue(type=str(self.type.pk), owner="SCHOOL@example.org")
        self.issue(type="Exam")
        self.assertEqual(Voucher.objects.filter(voucher_type=self.type, user=self.owner).count(), 10)

    def test_without_a_label_each_run_is_a_batch_of_its_own(self):
        for _ in range(2):
            self.assertIn(f"Exam for user {self.owner.pk}", self.issue())
        self.assertEqual(sorted(batch.vouchers.count() for batch in Batch.objects.all()), [5, 5])

    def test_what_it_was_worth_may_be_said(self):
        self.issue(face_value="0")
        self.issue(face_value="7.25")
        self.assertEqual(set(Voucher.objects.values_list("face_value", flat=True)), {0, Decimal("7.25")})

    def test_the_same_command_again_issues_nothing_more(self):
        self.issue(label="once")
        self.assertIn("Issued 0 vouchers; 5 were there before.", self.issue(label="once"))
        self.assertEqual(Voucher.objects.count(), 5)

    def test_it_goes_on_with_the_terms_of_its_start(self):
        batches._issue_chunk(self.open().pk, 2)
        VoucherType.objects.update(price=99, max_uses=9, service_type="other", validity_days=1)
        said = self.issue(label="half")
        self.assertIn("Issued 3 vouchers; 2 were there before.", said)
        kinds = set(Voucher.objects.values_list("face_value", "total_uses", "service_type"))
        self.assertEqual(kinds, {(Decimal("12.50"), 3, "exam_results")})
        self.assertEqual(Voucher.objects.count(), 5)

    def test_stopped_by_hand_it_says_how_to_go_on(self):
        with (
            patch.object(batches, "_issue_chunk", side_effect=KeyboardInterrupt),
            self.assertRaises(SystemExit) as end,
        ):
            self.issue(label="half")
        self.assertEqual(end.exception.code, 130)
        self.issue(label="half")
        self.assertEqual(Voucher.objects.count(), 5)

    def open(self, **changes):
        asked = {"voucher_type": self.type, "owner": self.owner, "quantity": 5, "label": "half"}
        return batches.get_or_create_batch(**{**asked, **changes})

    def test_a_label_belongs_to_what_was_asked_for_under_it(self):
        self.issue(label="mine")
        other = make_user()
        for change, named in (
            ({"count": 6}, "quantity"),
            ({"type": make_type().name}, "voucher_type"),
            ({"owner": other.email}, "owner"),
            ({"face_value": "1"}, "face_value"),
        ):
            with self.assertRaisesRegex(CommandError, f"label.*Differing: {named}"):
                self.issue(label="mine", csv=str(self.file), **change)
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (1, 5))
        self.assertEqual(BatchExport.objects.count(), 0)

    def test_what_is_wrong_is_said_before_anything_is_issued(self):
        self.assertRefused("no voucher type “Nothing”", type="Nothing")
        self.assertRefused("no voucher type “999999”", type="999999")
        self.assertRefused("no voucher type “9{30}”", type="9" * 30)
        self.assertRefused("no user nobody@example.org", owner="nobody@example.org")
        self.assertRefused("not active", owner=make_deactivated().email)
        self.assertRefused("not an active member of staff", by=make_user().email)
        for count in (0, -1, "1.5", "x", "", "²", batches.LARGEST + 1, "9" * 5000):
            self.assertRefused("--count", count=count)
        for amount in ("-1", "1.001", "x", "NaN", "1e400", "Infinity"):
            self.assertRefused("--face-value", face_value=amount)
        for label in ("x" * 201, " ", "two\nlines"):
            self.assertRefused("--label", label=label)
        VoucherType.objects.update(is_active=False)
        self.assertRefused("not on sale")

    def test_a_number_that_is_also_a_name_is_refused(self):
        make_type(name=str(self.type.pk))
        self.assertRefused("rename", type=str(self.type.pk))

    def test_nothing_more_is_issued_once_the_type_is_off_sale_or_the_owner_gone(self):
        batch = self.open()
        batches._issue_chunk(batch.pk, 2)
        VoucherType.objects.update(is_active=False)
        with self.assertRaises(VoucherTypeNotFound):
            batches.issue_remaining(batch=batch)
        VoucherType.objects.update(is_active=True)
        type(self.owner).objects.update(is_active=False)
        with self.assertRaises(OwnerInactive):
            batches.issue_remaining(batch=batch)
        self.assertEqual(Voucher.objects.count(), 2)

    def test_a_chunk_takes_as_many_queries_whatever_its_size(self):
        batch = self.open(quantity=100)
        for chunk in (5, 50):
            with self.assertQueries(6):  # batch, count, type, owner; vouchers, and their history
                batches._issue_chunk(batch.pk, chunk)

    def test_of_two_that_begin_at_once_with_other_terms_one_is_refused(self):
        self.open()
        unseen = [Batch.objects.none(), Batch.objects.filter(label="half")]
        with patch.object(Batch.objects, "filter", side_effect=unseen), self.assertRaises(BatchDiffers):
            self.open(quantity=6)


class FileTests(Folder, ApiTestCase):
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

    def test_no_cell_is_a_formula(self):
        for start in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"):
            self.assertEqual(batch_csv.escape_formula(f"{start}1+1"), f"'{start}1+1")
            for before in ("  ", "Exam;", "Exam; ", "Exam\t", "Exam\n"):
                self.assertEqual(batch_csv.escape_formula(f"{before}{start}1+1"), f"{before}'{start}1+1")
        for harmless in ("", "Exam", "a=b", "'=1", "3-4", "Ω", " Exam", "a; b"):
            self.assertEqual(batch_csv.escape_formula(harmless), harmless)

    def test_quotes_commas_and_lines_survive(self):
        batch = Batch(label="a\nb", voucher_type=self.type, service_type="-x")
        voucher = Voucher(
            type_name='The "best", really', code="2" * 16, expiry_date=timezone.now(), total_uses=1
        )
        rows = list(csv.reader(io.StringIO("".join(batch_csv.lines(batch, [voucher])), newline="")))
        self.assertEqual((rows[1][1], rows[1][2], rows[1][5]), ("'-x", 'The "best", really', "a\nb"))

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
            return made(**options)

        made = batches.issue_remaining
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
            batches.export_codes(batch=batch)
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
        found = list(batches._vouchers_of(batch, page=2))
        self.assertEqual(found, list(batch.vouchers.order_by("pk")))


def issue_by_counting_first(batch_id, at_most):
    """The broken twin: counts and issues without a lock."""
    batch = Batch.objects.get(pk=batch_id)
    issued = Voucher.objects.filter(batch=batch).count()
    more = min(batch.quantity - issued, at_most)
    time.sleep(0.005)
    if more > 0:
        terms = Terms("Exam", batch.service_type, batch.face_value, batch.currency, 1, 1)
        issue_vouchers(
            voucher_type_id=batch.voucher_type_id,
            owner_id=batch.owner_id,
            quantity=more,
            terms=terms,
            issued_at=timezone.now(),
            batch_id=batch.pk,
        )
    return more, issued + more


class AtOnceTests(RaceTestCase):
    QUANTITY = 40

    def race(self):
        """One round: how many vouchers four runs with one label have made, and how many batches."""
        kind, owner, label = make_type(), make_user(), f"race {time.monotonic_ns()}"

        def run():
            batch = batches.get_or_create_batch(
                voucher_type=kind, owner=owner, quantity=self.QUANTITY, label=label
            )
            return batches.issue_remaining(batch=batch, chunk=7)

        made = self.together(*[run] * 4)
        mine = Batch.objects.filter(label=label)
        return sum(made), Voucher.objects.filter(batch__in=mine).count(), mine.count()

    def test_runs_at_the_same_instant_make_exactly_as_many_as_asked_for(self):
        for round_no in range(self.rounds):
            with self.subTest(round=round_no):
                self.assertEqual(self.race(), (self.QUANTITY, self.QUANTITY, 1))

    def test_the_same_race_catches_a_run_that_does_not_lock(self):
        with patch.object(batches, "_issue_chunk", issue_by_counting_first):
            self.assertCaught(self.race, lambda outcome: outcome[1] > self.QUANTITY)


class KilledTests(Folder, RaceTestCase):
    COUNT = 6 * batches.CHUNK

    def setUp(self):
        super().setUp()
        self.type, self.owner = make_type(), make_user()

    def test_killed_in_the_middle_it_goes_on_to_exactly_as_many(self):
        arguments = ["--type", self.type.name, "--owner", self.owner.email, "--count", str(self.COUNT)]
        arguments += ["--label", "killed", "--csv", str(self.file)]
        process = subprocess.Popen(
            [sys.executable, "manage.py", "issue_vouchers", *arguments],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_URL": url_of_this_database()},
            stdout=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        while not Voucher.objects.exists():
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        self.assertEqual(process.wait(10), -signal.SIGKILL)
        there = Voucher.objects.count()
        self.assertTrue(0 < there < self.COUNT, there)
        self.assertEqual(there % batches.CHUNK, 0)
        self.assertFalse(self.file.exists())
        said = self.issue(count=self.COUNT, label="killed", csv=str(self.file))
        self.assertIn(f"Issued {self.COUNT - there} vouchers; {there} were there before.", said)
        self.assertEqual(Voucher.objects.count(), self.COUNT)
        self.assertEqual(VoucherEvent.objects.count(), self.COUNT)
        self.assertEqual(len({row[0] for row in self.rows()}), self.COUNT + 1)


def url_of_this_database():
    """DATABASE_URL of the database that the test uses, for a process of its own."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
