"""Whatever people write fits where it is printed, and reads the right way round."""

import threading
import time
from contextlib import nullcontext
from importlib.util import find_spec
from unittest import TestCase, mock, skipUnless

from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.lib.units import mm
from reportlab.pdfbase.ttfonts import TTFontFile

from apps.core import pdf
from apps.core.pdf import document, fonts
from apps.core.pdf import text as pdf_text
from apps.core.pdf.characters import LACKING, cleaned

READS_PDF = skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
SCRIPTS = {
    "Latin": "Exam Results, Prüfung, Résultats",
    "West African": "Adwene ɛ́ɔ̀ŋ Ẹ̀kọ́ ƙasa",
    "Vietnamese": "Tiếng Việt kết quả",
    "Greek": "Αποτελέσματα",
    "Cyrillic": "Результаты экзамена",
    "Arabic": "التحقق من النتائج",
    "Hebrew": "בדיקת תוצאות",
    "Georgian": "გამოცდა",
    "Thai": "ผลสอบ น้ำ",
    "signs": "₵20 – ₦5 · €3 × 2 “quoted” …",
}
# Much of what breaks setting type is rare in random text.
AWKWARD = (
    "\u0915\u094d\u0937\u093f\u0bca\u07d2\u07eb\U0001e900\U0001e944\u3001\u30fc"
    "\u202e\u200b\u200d\u0301\u0323\n\t\u00a0\ufe0f\ufdfa\u0644\u0627\u05e9\U0001f393\u12a0\u4e2dЖ▯…A- "
)
texts = st.text(max_size=200) | st.text(AWKWARD, max_size=200)
faces = st.sampled_from([pdf.REGULAR, pdf.BOLD, pdf.MONO])


class WrappedTests(TestCase):
    def lines(self, text, **how):
        return [str(line) for line in pdf_text.wrapped(text, **how)]

    @settings(deadline=None, max_examples=300)
    @given(texts, faces, st.sampled_from([6, 10, 26]), st.sampled_from([12, 60, 180]), st.integers(1, 4))
    def test_no_line_is_wider_and_no_text_longer_than_allowed(self, text, face, size, width, max_lines):
        lines = pdf_text.wrapped(text, face=face, size=size, width=width, max_lines=max_lines)
        self.assertLessEqual(len(lines), max_lines)
        for line in lines:
            if len(str(line)) > 1:  # one character can't be broken
                self.assertLessEqual(line.width(size), width + 0.001)

    @settings(deadline=None, max_examples=100)
    @given(texts)
    def test_what_has_room_is_all_there(self, text):
        lines = self.lines(text, face=pdf.REGULAR, size=6, width=60, max_lines=300)
        self.assertNotEqual(lines[-1:], [""])
        if text.isascii():
            self.assertEqual("".join("".join(lines).split()), "".join(cleaned(text).split()))

    def test_it_breaks_at_spaces_and_long_words_anywhere(self):
        def lines(text, width=30, max_lines=3):
            return self.lines(text, face=pdf.REGULAR, size=10, width=width, max_lines=max_lines)

        self.assertEqual(lines("School Application Form"), ["School Application", "Form"])
        self.assertEqual("".join(lines("x" * 40)), "x" * 40)
        self.assertTrue(lines("word " * 90)[-1].endswith("word…"))
        self.assertEqual(lines(""), [])
        self.assertEqual(lines(" \n\t\u200b "), [])
        self.assertEqual(lines("one\ntwo\r\n\tthree"), ["one two three"])

    def test_a_text_shrinks_before_it_is_cut(self):
        def fitted(text):
            return pdf_text.fitted(text, face=pdf.BOLD, sizes=(20, 14, 8), width=56, max_lines=2)

        self.assertEqual(fitted("Exam results")[1], 20)
        self.assertEqual(fitted("Placement application for schools")[1], 14)
        self.assertEqual(fitted("Donaudampfschifffahrtsgesellschaft")[1], 8)
        lines, size = fitted("word " * 90)
        self.assertEqual((size, len(lines), str(lines[-1])[-1]), (8, 2, "…"))

    def test_each_character_that_no_font_has_is_seen_to_be_missing(self):
        for text in ("ខមរក", "မမမမ", "བཀགང"):
            (line,) = self.lines(text, face=pdf.BOLD, size=10, width=90, max_lines=1)
            self.assertEqual(line, LACKING * 4, text)

    def test_the_scripts_that_are_promised_are_there(self):
        for name, text in SCRIPTS.items():
            for face in (pdf.REGULAR, pdf.BOLD):
                (line,) = self.lines(text, face=face, size=8, width=150, max_lines=1)
                self.assertNotIn(LACKING, line, name)

    def test_arabic_and_hebrew_run_from_right_to_left_and_numbers_in_them_do_not(self):
        def line(text):
            return self.lines(text, face=pdf.REGULAR, size=8, width=150, max_lines=1)[0]

        self.assertEqual(line("תוצאות (2026)"), "(2026) " + "תוצאות"[::-1])
        self.assertEqual(line("Exam תוצאות"), "Exam " + "תוצאות"[::-1])
        # Joined: the middle letter of three has its middle form.
        self.assertEqual(line("بيت"), "\ufe96\ufef4\ufe91")

    def test_marks_that_turn_the_direction_are_dropped(self):
        self.assertEqual(cleaned("refund\u202ednufer\u2066 \u200e1"), "refunddnufer 1")


@READS_PDF
class PaperTests(TestCase):
    def drawn(self, text):
        with document.new_document(document.A5_LANDSCAPE, title="A page") as page:
            page.paragraph(20, 20, text, width=100, max_lines=3, sizes=(20, 10))
            page.text(20, 90, text, face=pdf.BOLD, width=60)
            page.text(190, 110, text, align="right", width=60)
            page.text(105, 130, text, align="centre", width=60, face=pdf.MONO)
            return page.pdf()

    @settings(deadline=None, max_examples=100)
    @given(texts)
    def test_any_text_makes_a_page_and_stays_on_it(self, text):
        from tests.support.paper import marks_of

        for number, (left, bottom, right, top) in marks_of(self.drawn(text)):
            self.assertEqual(number, 0)
            self.assertGreaterEqual(min(left, bottom), 0)
            self.assertLessEqual(right, document.A5_LANDSCAPE[0] * mm)
            self.assertLessEqual(top, document.A5_LANDSCAPE[1] * mm)

    def test_the_same_page_is_the_same_bytes_and_says_little_of_itself(self):
        from tests.support.paper import metadata_of, text_of

        self.assertEqual(self.drawn("Exam"), self.drawn("Exam"))
        self.assertEqual(metadata_of(self.drawn("Exam"))["Title"], "A page")
        self.assertEqual(text_of(self.drawn("Exam results")).count("Exam results"), 4)

    def broken_pages(self):
        """How many of the pages that threads draw at the same instant differ from those drawn alone."""
        names = [f"Exam {number} {text}" for number, text in enumerate(SCRIPTS.values())]
        alone = [self.drawn(name) for name in names]
        start, together = threading.Barrier(len(names)), [b""] * len(names)

        def draw(index):
            start.wait(30)
            together[index] = self.drawn(names[index])

        threads = [threading.Thread(target=draw, args=(index,)) for index in range(len(names))]
        with mock.patch.object(TTFontFile, "seek", slow_seek):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        return sum(first != second for first, second in zip(alone, together, strict=True))

    def test_pages_drawn_at_the_same_instant_are_whole(self):
        for _ in range(10):
            self.assertEqual(self.broken_pages(), 0)

    def test_control_without_the_turns_they_are_not(self):
        with (
            mock.patch.object(document, "one_at_a_time", nullcontext()),
            mock.patch.object(fonts, "one_at_a_time", nullcontext()),
            mock.patch("threading.excepthook"),
        ):
            self.assertTrue(any(self.broken_pages() for _ in range(8)))


def slow_seek(file, position, *, seek=TTFontFile.seek):
    """reportlab finds its place in a font, and others have a turn before it reads there."""
    seek(file, position)
    time.sleep(0.0001)
