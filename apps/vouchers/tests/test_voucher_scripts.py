"""Vouchers whose type's name is in any script: on all paper whole, with a QR code that a scanner reads."""

import re
from collections import Counter
from importlib.util import find_spec
from unittest import mock, skipUnless

from django.test import override_settings

from apps.core.pdf import fonts
from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, make_voucher
from apps.vouchers.tests.test_voucher_pdf import scanned
from apps.vouchers.voucher_pdf import Paper, vouchers_pdf
from tests.support.cases import ApiTestCase
from tests.support.scripts import NAMES_BY_SCRIPT

LACKING = "▯"


@override_settings(FRONTEND_URL="https://vouchers.example.com")
@skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
class ScriptTests(ApiTestCase):
    vouchers: list[Voucher]

    @classmethod
    def setUpTestData(cls):
        owner = make_user()
        cls.vouchers = [
            make_voucher(owner=owner, voucher_type=make_type(name=name)) for name in NAMES_BY_SCRIPT.values()
        ]

    def assert_whole(self, paper):
        """All codes are scanned, no glyph is a substitute, and the names are read from the file."""
        from tests.support.paper import links_in, pages_of, readings_of, text_of, undrawn_of

        content = vouchers_pdf(self.vouchers, paper)
        links = [link for page in pages_of(content) for link in links_in(scanned(page))]
        self.assertCountEqual(
            links,
            [f"https://vouchers.example.com/redeem#code={voucher.shown_code}" for voucher in self.vouchers],
        )
        self.assertEqual(undrawn_of(content), 0)
        text = "".join(text_of(content).split())
        self.assertNotIn(LACKING, text)
        readings = "".join("".join(readings_of(content)).split())
        for script, name in NAMES_BY_SCRIPT.items():
            for word in re.findall(r"[^\x00-\x7f]+", name):
                if script not in ("all at once", "N'Ko", "Adlam"):
                    self.assertIn(word, readings)
        self.assertLessEqual(
            Counter(letter for letter in "".join(NAMES_BY_SCRIPT.values()) if letter.isalpha()),
            Counter(
                text + "".join(letter for letter in readings if letter > "\uffff")
            ),  # PDFium reads no others
        )

    def test_each_paper_has_them_whole(self):
        for paper in Paper:
            with self.subTest(paper):
                self.assert_whole(paper)

    def test_control_without_fallback_fonts_no_paper_has(self):
        self.enterContext(mock.patch.object(fonts, "fallbacks_for", lambda text, face: []))
        for paper in Paper:
            with self.subTest(paper), self.assertRaises(AssertionError):
                self.assert_whole(paper)
