"""Letters that the faces lack are printed in fallback fonts, joined, stacked and in order, as readers know them."""

import re
from collections import Counter
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from unittest import TestCase, mock, skipUnless

import bidi
import uharfbuzz
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core import pdf
from apps.core.pdf import choice, document, fonts
from apps.core.pdf.characters import LACKING, is_mark
from apps.core.pdf.composition import OneFont
from apps.core.pdf.direction import direction_of, places_of
from apps.core.pdf.text import wrapped
from tests.support.scripts import NAMES_BY_SCRIPT

READS_PDF = skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
FACES = (pdf.REGULAR, pdf.BOLD, pdf.MONO)


def lines_of(text, face=pdf.BOLD, width=60.0, max_lines=30):
    return wrapped(text, face=face, size=12, width=width, max_lines=max_lines)


@cache
def whole_font(file):
    return uharfbuzz.Font(fonts._harfbuzz_face(file))


def shaped_by_the_whole_font(text, file):
    """How many glyphs HarfBuzz makes of a text with nothing cut out of the font, and their width in its units."""
    buffer = uharfbuzz.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    uharfbuzz.shape(whole_font(file), buffer, {"kern": True, "liga": True, "dlig": True})
    width = sum(position.x_advance for position in buffer.glyph_positions)
    return len(buffer.glyph_infos), width * 1000 / whole_font(file).face.upem


class FallbackTests(TestCase):
    def assert_printed(self, text, face):
        """Each character is there, and shaped as by the whole font: a subset that lacks a form of one is not."""
        lines = lines_of(text, face)
        self.assertGreater(len(lines), 0)
        self.assertNotIn(LACKING, "".join(map(str, lines)))
        self.assertEqual(sorted("".join(map(str, lines)).replace(" ", "")), sorted(text.replace(" ", "")))
        runs = [run for line in lines for run in line.runs if run.reading]
        self.assertTrue(runs)
        for run in runs:
            count, width = shaped_by_the_whole_font(run.reading, run.font.rpartition("-")[0])
            self.assertEqual(len(run.glyphs), count, run.reading)
            self.assertAlmostEqual(fonts.width_of(run.glyphs, run.font, 1000) * 72 / 25.4, width, delta=count)

    def test_each_script_is_printed_whole_in_each_face(self):
        for script, text in NAMES_BY_SCRIPT.items():
            self.assertEqual(pdf.without_font(text), "", script)
            for face in FACES:
                with self.subTest(script, face=face):
                    if script == "all at once":
                        self.assertNotIn(LACKING, "".join(map(str, lines_of(text, face))))
                    else:
                        self.assert_printed(text, face)

    def test_control_without_fallback_fonts_none_is(self):
        self.enterContext(mock.patch.object(fonts, "fallbacks_for", lambda text, face: []))
        for script, text in NAMES_BY_SCRIPT.items():
            if script == "all at once":
                self.assertIn(LACKING, "".join(map(str, lines_of(text))))
                continue
            with self.subTest(script), self.assertRaises(AssertionError):
                self.assert_printed(text, pdf.BOLD)

    def test_what_no_font_has_is_known(self):
        self.assertEqual(pdf.without_font("Exam ខ្ម 考试 ខ"), "ខ្ម")
        self.assertEqual(pdf.without_font("Exam ▯"), "")

    def test_to_know_what_no_font_has_makes_no_font(self):
        # Those would stay until the next PDF: memory of each name that staff save.
        fonts.forget_subsets()
        self.assertEqual(pdf.without_font("ፈተና 考试 ខ"), "ខ")
        self.assertEqual(fonts._subsets, {})

    def test_names_that_the_faces_have_are_in_them_alone(self):
        for text in (
            "Exam Résultats",
            "Tiếng Việt",
            "Результаты",
            "التحقق (2026)",
            "תוצאות Exam",
            "ผลสอบ น้ำ",
            "₵20",
        ):
            for face in (pdf.REGULAR, pdf.BOLD):
                self.assertIs(type(choice.composed(text, face)), OneFont, text)

    def test_fallback_fonts_are_read_at_the_first_name_that_needs_them(self):
        with mock.patch.object(fonts, "_harfbuzz_face", side_effect=AssertionError):
            lines_of("Exam Résultats التحقق Результаты ₵20")
            self.assertEqual(pdf.without_font("Exam Résultats التحقق ₵20"), "")
            with self.assertRaises(AssertionError):
                fonts.subset("KurintoSans-Rg", frozenset("ኣ"))

    def test_what_unicode_never_makes_a_character_is_dropped(self):
        # Fonts have a glyph for the first of these.
        for text in ("علي \uffff", "علي ኣ \uffff\U0010fffe"):
            self.assertEqual(pdf.without_font(text), "")
            self.assertNotIn("\uffff", "".join(map(str, lines_of(text))))

    def test_a_character_newer_than_python_runs_with_its_neighbours(self):
        order = places_of("علي\u0378\u0378علي", "R")
        self.assertEqual([place.origin for place in order], [7, 6, 5, 4, 3, 2, 1, 0])

    def test_kana_tell_that_ideographs_are_japanese(self):
        def file(text):
            return {run.font.rpartition("-")[0] for line in lines_of(text) for run in line.runs}

        self.assertEqual(file("考试成绩"), {"KurintoSansSC-Bd"})
        self.assertIn("KurintoSansJP-Rg", file("直線カード"))

    def test_an_arabic_word_is_joined_in_one_font(self):
        # The letter in the middle is in no face.
        (line,) = lines_of("بݖر")
        self.assertEqual([run.reading for run in line.runs], ["بݖر"])


class BreakTests(TestCase):
    def test_japanese_lines_begin_with_no_sign_that_closes_and_small_kana(self):
        for text in ("試験、結果。カード「専用」ファイルー" * 3, "《試験》結果ー、" * 5):
            for width in range(14, 40):
                lines = [str(line) for line in lines_of(text, width=width)]
                self.assertEqual("".join(lines), text)
                self.assertGreater(len(lines), 2)
                for line in lines:
                    self.assertNotIn(line[0], "、。」》ーァ", lines)
                    self.assertNotIn(line[-1], "「《", lines)

    def test_no_syllable_is_broken(self):
        for script in ("Tamil", "Bengali", "Devanagari", "Sinhala", "N'Ko"):
            text = NAMES_BY_SCRIPT[script].replace(" ", "") * 2
            for width in range(22, 34):
                lines = [str(line) for line in lines_of(text, width=width)]
                self.assertEqual("".join(lines), text)
                for before, line in pairwise(lines):
                    self.assertFalse(is_mark(line[0]), lines)
                    self.assertNotIn(before[-1], "\u094d\u09cd\u0dca\u200d", lines)
                cut = str(lines_of(text, width=width, max_lines=1)[0])
                self.assertEqual(cut.count("…"), 1)
                self.assertTrue(text.startswith(cut.strip("…")))
                self.assertFalse(is_mark(text[len(cut) - 1]), cut)

    def test_chinese_is_broken_anywhere_without_getting_smaller(self):
        lines, size = pdf.text.fitted(
            "全国普通高等学校招生统一考试", face=pdf.BOLD, sizes=(12, 8), width=40, max_lines=3
        )
        self.assertEqual((size, len(lines)), (12, 2))


class DirectionTests(TestCase):
    def line(self, text):
        """The words of a line as they stand from left to right, each as it is read."""
        (line,) = lines_of(text, width=180)
        return [(run.reading or run.glyphs).strip() for run in line.runs if run.glyphs.strip()]

    def test_n_ko_and_adlam_run_from_right_to_left_and_what_stands_among_them_does_not(self):
        self.assertEqual(self.line("ߞߊ߬ߙߊ߲ (2026)"), ["(", "2026", ")", "ߞߊ߬ߙߊ߲"])
        self.assertEqual(self.line("𞤔𞤢𞤲 Exam 𞤫 12"), ["12", "𞤫", "Exam", "𞤔𞤢𞤲"])
        self.assertEqual(self.line("Exam 𞤔𞤢𞤲 考试"), ["Exam", "𞤔𞤢𞤲", "考试"])

    def test_they_are_joined(self):
        for word in ("ߞߊߙߊ", "𞤔𞤢𞤲"):
            font = fonts.subset("KurintoSans-Rg", frozenset(word))
            alone = {glyph for letter in word for glyph in fonts.shaped(letter, font)}
            joined = fonts.shaped(word, font)
            self.assertEqual(len(joined), len(word))
            self.assertFalse(alone & set(joined), word)
            _, width = shaped_by_the_whole_font(word, "KurintoSans-Rg")
            self.assertAlmostEqual(fonts.width_of(joined, font, 1000) * 72 / 25.4, width, delta=len(word))
            for glyph in vars(joined)[
                "__shapeData__"
            ]:  # viewers mark text by the widths that the document says
                self.assertAlmostEqual(glyph.width, glyph.x_advance, delta=1)

    @settings(deadline=None, max_examples=300)
    @given(st.text("ab אבתد() []{}12,.%-★ߞ𞤔𞤀", min_size=1, max_size=16))
    def test_the_order_is_that_of_another_implementation(self, text):
        text = text.strip()
        direction = direction_of(text)
        if direction is None:
            return
        same = str.maketrans(")]}", "([{")  # that one mirrors no bracket
        drawn = "".join(place.drawn for place in places_of(text, direction))
        self.assertEqual(drawn.translate(same), bidi.get_display(text, base_dir=direction).translate(same))


@READS_PDF
class PaperTests(TestCase):
    def drawn(self, *texts):
        with document.new_document(document.A5_LANDSCAPE, title="A page") as page:
            y = 5.0
            for text in texts:
                y = page.paragraph(10, y, text, width=150, max_lines=2, face=pdf.BOLD)
                page.text(10, y + 5, text, face=pdf.REGULAR, width=180, spacing=0.3)
                y += 8
            return page.pdf()

    def test_no_glyph_is_the_one_for_what_a_font_lacks(self):
        from tests.support.paper import undrawn_of

        self.assertEqual(undrawn_of(self.drawn(*NAMES_BY_SCRIPT.values())), 0)
        with mock.patch.object(choice, "_as_known", lambda character, known: character):
            self.assertGreater(undrawn_of(self.drawn("Exam ខ្មែរ")), 0)  # the count sees them

    def test_what_is_copied_is_what_was_written(self):
        from tests.support.paper import readings_of, text_of

        for script, text in NAMES_BY_SCRIPT.items():
            page = self.drawn(text)
            readings, pdfium = "".join(readings_of(page)), text_of(page)
            for word in re.findall(r"[^\x00-\x7f]+", text):
                with self.subTest(script, word=word):
                    self.assertTrue(word in readings or script == "all at once")
                    if script == "N'Ko":  # PDFium turns lines from right to left once more
                        self.assertLessEqual(Counter(word), Counter(pdfium))
                    elif max(word) < "\U00010000":  # it reads no others
                        self.assertIn(word, pdfium.replace(" ", "") if script == "Japanese" else pdfium)

    def test_the_bytes_do_not_depend_on_what_was_drawn_before(self):
        texts = [NAMES_BY_SCRIPT[script] for script in ("Devanagari", "Bengali", "N'Ko", "Japanese")]
        alone = [self.drawn(text) for text in texts]
        for text in reversed(texts):
            self.drawn(text[::-1], text)
        self.assertEqual([self.drawn(text) for text in texts], alone)

    def test_no_font_is_kept_behind_a_document(self):
        from reportlab.pdfbase import pdfmetrics

        self.drawn("Exam")
        before = set(pdfmetrics.getRegisteredFontNames())
        self.drawn("ግንቦት")
        self.assertEqual(set(pdfmetrics.getRegisteredFontNames()), before)
