"""GET /api/vouchers/detail/<code>/pdf/, sheets, and what a scanner makes of them once they are printed."""

import random
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from unittest import skipUnless

import time_machine
from django.test import override_settings
from django.utils import timezone
from PIL import Image, ImageFilter

from apps.users.tests.factories import make_other_customer, make_staff, make_user
from apps.vouchers import selectors, voucher_pdf
from apps.vouchers.models import Voucher
from apps.vouchers.states import WHY_INACTIVE, InactiveReason
from apps.vouchers.tests.factories import (
    make_expired_voucher,
    make_inactive_voucher,
    make_type,
    make_used_voucher,
    make_voucher,
    unknown_code,
)
from tests.support.cases import ApiTestCase

READS_PDF = skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
NAMES = (
    "التحقق من نتائج شهادة الثانوية العامة",
    "የፈተና ውጤት ማረጋገጫ",
    "考试成绩查询服务",
    "🎓 Exam 😀 results\nsecond line\ttab \u202e\x07",
    "x" * 200,
    "Application for placement in schools and institutes of the regions, with everything that belongs to it, "
    * 2,
    "ﷺ" * 200,
    "e\u0301\u0323" * 60,
    "\u200b",
    "التحقق من نتائج \uffff\ufdd0",
)


def scanned(page: Image.Image) -> Image.Image:
    """The page after a bad printer and a bad camera: turned, blurred, pale and grainy."""
    turned = page.convert("L").rotate(3, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    pale = turned.filter(ImageFilter.GaussianBlur(1.2)).point(
        [70 + value * 150 // 255 for value in range(256)]
    )
    grain = Image.frombytes("L", pale.size, random.Random(1).randbytes(pale.width * pale.height))
    return Image.blend(pale, grain, 0.15)


class PrintingTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.api = self.signed_in(self.owner)
        site = override_settings(FRONTEND_URL="https://vouchers.example.com")
        site.enable()
        self.addCleanup(site.disable)

    def link(self, voucher):
        return f"https://vouchers.example.com/redeem#code={voucher.shown_code}"


@READS_PDF
class PageTests(PrintingTestCase):
    def get(self, code, api=None):
        return (api or self.api).get(f"/api/vouchers/detail/{code}/pdf/")

    def text(self, voucher):
        from tests.support.paper import text_of

        return text_of(voucher_pdf.voucher_pdf(voucher))

    def test_a_code_survives_print_and_scan(self):
        from tests.support.paper import links_in, pages_of

        voucher = make_voucher(owner=self.owner)
        (page,) = pages_of(self.get(voucher.shown_code).content, dpi=150)
        self.assertEqual(links_in(scanned(page)), [self.link(voucher)])
        desk = self.signed_in(make_other_customer())
        response = desk.post("/api/vouchers/redeem/", {"code": links_in(scanned(page))[0]})
        self.assertEqual(response.status_code, 200, response.content)
        voucher.refresh_from_db()
        self.assertEqual(voucher.uses_remaining, 0)

    @override_settings(TIME_ZONE="Pacific/Auckland")
    def test_it_says_what_it_is_for_how_long_and_how_to_redeem_it(self):
        voucher = make_voucher(
            owner=self.owner,
            voucher_type=make_type(name="Exam Results Checking", max_uses=3),
            expiry_date=datetime(2027, 3, 1, 10, 59, 59, tzinfo=UTC),
        )
        with timezone.override("Pacific/Auckland"):
            text = self.text(voucher)
        for words in (
            "Exam Results Checking",
            "Exam results",
            voucher.shown_code,
            "1 March 2027",
            "23:59, Pacific/Auckland time",
            "3 of 3 left",
            "10.00 USD",
            "open vouchers.example.com/redeem and type in the code",
            "Whoever holds this code can use it. Keep it like cash.",
        ):
            self.assertIn(words, text)
        self.assertNotIn(self.owner.email, text)

    def test_a_name_of_three_lines_leaves_room_for_the_service(self):
        import pypdfium2

        for name in (
            "Checking of the results of the examinations of the year 2026 for secondary schools",
            *NAMES,
        ):
            content = voucher_pdf.voucher_pdf(
                make_voucher(owner=self.owner, voucher_type=make_type(name=name[:200]))
            )
            words = pypdfium2.PdfDocument(content)[0].get_textpage()
            place, _ = words.search("Service:").get_next()
            from_top = 148 - words.get_charbox(place)[1] * 25.4 / 72
            self.assertLess(from_top, 60, name)  # where the box with the code begins

    def test_a_free_voucher_says_nothing_of_its_value(self):
        text = self.text(make_voucher(owner=self.owner, voucher_type=make_type(price=0)))
        self.assertNotIn("VALUE", text)
        self.assertIn("1 use", text)

    def test_one_that_cannot_be_redeemed_says_so_and_why_and_has_no_qr_code(self):
        from tests.support.paper import links_in, pages_of, text_of

        cases = [
            (make_used_voucher(owner=self.owner), "It has no uses left."),
            (make_expired_voucher(owner=self.owner), "It expired on"),
            (make_inactive_voucher(owner=self.owner), "the service was withdrawn."),
        ]
        for reason in InactiveReason:
            stopped = Voucher(**{**vars_of(cases[2][0]), "inactive_reason": reason})
            cases.append((stopped, WHY_INACTIVE[reason]))
        for voucher, why in cases:
            with self.subTest(why):
                for printed in (voucher_pdf.voucher_pdf(voucher), voucher_pdf.sheets_pdf([voucher] * 2)):
                    text = text_of(printed)
                    self.assertIn("NOT VALID", text)
                    self.assertIn(why, text)
                    self.assertNotIn("type in the code", text)
                    self.assertNotIn(voucher_pdf.WARNING, text)
                    self.assertEqual([link for page in pages_of(printed) for link in links_in(page)], [])
        self.assertNotIn("NOT VALID", self.text(make_voucher(owner=self.owner)))

    def test_it_says_what_holds_at_that_moment(self):
        voucher = make_voucher(owner=self.owner, expiry_date=datetime(2027, 3, 1, 23, 59, 59, tzinfo=UTC))
        with time_machine.travel(datetime(2027, 3, 1, 23, 59, 58, tzinfo=UTC), tick=False):
            self.assertNotIn("NOT VALID", self.text(voucher))
        with time_machine.travel(datetime(2027, 3, 1, 23, 59, 59, tzinfo=UTC), tick=False):
            text = self.text(voucher)
        self.assertIn("NOT VALID It expired on 1 March 2027.", text)
        self.assertIn("Printed 1 March 2027, 23:59, UTC time", text)

    def test_it_is_a_file_to_save_that_does_not_name_the_code(self):
        from tests.support.paper import metadata_of

        voucher = make_voucher(owner=self.owner)
        response = self.get(voucher.shown_code)
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.headers["Content-Type"], "application/pdf")
        self.assertEqual(
            response.headers["Content-Disposition"], f'attachment; filename="voucher-{voucher.code[-4:]}.pdf"'
        )
        self.assertEqual(response.headers["Cache-Control"], "private, no-store")
        self.assertEqual(response.headers["X-Content-Type-Options"], "nosniff")
        said = f"{response.headers} {metadata_of(response.content)} {response.content!r}"
        for group in voucher.shown_code.split("-")[:3]:
            self.assertNotIn(f"{group}-", said)
        self.assertNotIn(voucher.code[:12], said)
        self.assertEqual(metadata_of(response.content)["Title"], "Voucher")

    def test_it_is_for_the_owner_and_staff(self):
        voucher = make_voucher(owner=self.owner)
        with self.assertQueries(2):
            self.assertEqual(self.get(voucher.code).status_code, 200)
        self.assertEqual(self.get(voucher.code, self.signed_in(make_staff())).status_code, 200)
        other = self.signed_in(make_other_customer())
        self.assertProblem(self.get(voucher.code, other), 404, "voucher_not_found")
        self.assertProblem(self.get(voucher.code, self.client), 401, "not_authenticated")
        for code in (unknown_code(), "x", "%00", "a" * 300):
            self.assertProblem(self.get(code), 404, "voucher_not_found")

    def test_the_code_reaches_no_log_line(self):
        shown = make_voucher(owner=self.owner).shown_code
        other = self.signed_in(make_other_customer())
        with self.assertLogs(level="INFO") as logged:
            for code in (shown, shown.lower(), shown.replace("-", "--")):
                for api in (self.api, other, self.client):
                    self.get(code, api)
        lines = "\n".join(logged.output)
        self.assertIn("GET /api/vouchers/detail/<str:code>/pdf/ 200", lines)
        for group in shown.split("-")[:3]:
            self.assertNotIn(group.lower(), lines.lower())

    def test_any_name_is_printed_and_leaves_code_and_qr_code_alone(self):
        from tests.support.paper import links_in, marks_of, pages_of, text_of

        for name in NAMES:
            with self.subTest(name[:20]):
                voucher = make_voucher(owner=self.owner, voucher_type=make_type(name=name[:200]))
                response = self.get(voucher.code)
                self.assertEqual(response.status_code, 200)
                sheet = voucher_pdf.sheets_pdf([voucher] * 8)
                for printed, links in ((response.content, 1), (sheet, 8)):
                    self.assertEqual(
                        [link for page in pages_of(printed) for link in links_in(page)],
                        [self.link(voucher)] * links,
                    )
                    self.assertEqual(text_of(printed).count(voucher.shown_code), links)
                    width, height = (595.3, 841.9) if links > 1 else (595.3, 419.6)
                    for _, (left, bottom, right, top) in marks_of(printed):
                        self.assertGreater(min(left, bottom), -1)  # a line has a thickness
                        self.assertLess(right, width + 1)
                        self.assertLess(top, height + 1)


@READS_PDF
class SheetTests(PrintingTestCase):
    def test_eight_go_on_a_sheet_each_whole_and_in_order(self):
        from tests.support.paper import links_in, pages_of, text_of

        kind = make_type(name="School Application")
        vouchers = [make_voucher(owner=self.owner, voucher_type=kind) for _ in range(19)]
        printed = voucher_pdf.sheets_pdf(iter(vouchers))
        pages = pages_of(printed)
        self.assertEqual(len(pages), 3)
        links = [links_in(scanned(page)) for page in pages]
        self.assertEqual([len(of_sheet) for of_sheet in links], [8, 8, 3])
        self.assertEqual(
            {link for of_sheet in links for link in of_sheet}, {self.link(voucher) for voucher in vouchers}
        )
        for page, first in zip(pages, (0, 8, 16), strict=True):
            cell = page.crop((0, 0, page.width // 2, page.height // 4))
            self.assertEqual(links_in(cell), [self.link(vouchers[first])])
        text = text_of(printed)
        places = [text.index(voucher.shown_code) for voucher in vouchers]
        self.assertEqual(places, sorted(places))
        self.assertEqual(text.count("School Application"), 19)
        self.assertEqual(text.count(voucher_pdf.WARNING), 19)

    def test_the_same_vouchers_at_the_same_time_are_the_same_bytes(self):
        kind = make_type()
        for _ in range(3):
            make_voucher(owner=self.owner, voucher_type=kind)
        vouchers = list(selectors.vouchers_of(self.owner))
        with time_machine.travel(timezone.now() + timedelta(minutes=1), tick=False), self.assertQueries(0):
            self.assertEqual(voucher_pdf.sheets_pdf(vouchers), voucher_pdf.sheets_pdf(vouchers))
            self.assertEqual(voucher_pdf.voucher_pdf(vouchers[0]), voucher_pdf.voucher_pdf(vouchers[0]))

    def test_without_vouchers_there_is_nothing_to_print(self):
        with self.assertRaises(ValueError):
            voucher_pdf.sheets_pdf([])


def vars_of(voucher):
    """The fields of a voucher, to make another like it."""
    return {field.name: getattr(voucher, field.name) for field in Voucher._meta.concrete_fields}
