"""The fonts of PDFs: the faces that most text is in, and fallback fonts for what these lack.

Faces are small, and stay once they are read. The files of the fallback fonts have up to 30,000 glyphs in 10 MB:
HarfBuzz maps them into memory at the first text that needs them, and cuts out what that text takes.
"""

import threading
import unicodedata
from collections.abc import Container, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pymupdf_fonts
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import ShapedStr, TTFont, shapeStr

# Names of faces in pymupdf_fonts. FiraGO knows the most scripts, Noto Sans some signs that it lacks, such as ₵.
REGULAR: Final = "figo"
BOLD: Final = "figbo"
MONO: Final = "cascadiab"
SECOND: Final = {REGULAR: "notos", BOLD: "notosbo"}

# Kurinto Sans in weblate_fonts, most scripts in one file and those of East Asia in one for each language.
_MOST: Final = "KurintoSans"
_JAPANESE: Final = "KurintoSansJP"
_KOREAN: Final = "KurintoSansKR"
_CHINESE: Final = ("KurintoSansSC", "KurintoSansTC")

# reportlab reads a font through one place in its file, so two threads must not embed the same at once.
one_at_a_time: Final = threading.RLock()

_subsets: Final[dict[tuple[str, frozenset[str]], str]] = {}
_shaped: Final[dict[tuple[str, str], str]] = {}


@cache
def characters_of(face: str) -> Any:
    """The code points of a face, which this registers at its first use."""
    with one_at_a_time:
        font = TTFont(face, BytesIO(pymupdf_fonts.fontbuffers[face]()), shapable=False)
        pdfmetrics.registerFont(font)
    return font.face.charToGlyph


def fallbacks_for(text: str, face: str) -> Sequence[str]:
    """The files of the fallback fonts for a text in this face, best first.

    Chinese and Japanese share characters but draw some of them differently; kana tell that a text is Japanese.
    """
    weight = "Rg" if face == REGULAR else "Bd"
    japanese = any("\u3040" <= character <= "\u30ff" for character in text)
    # Kurinto has no bold kana, and bold ideographs beside them look like another text.
    east = [f"{_JAPANESE}-Rg" if japanese else f"{_JAPANESE}-{weight}", f"{_KOREAN}-{weight}"]
    chinese = [f"{name}-{weight}" for name in _CHINESE]
    return [f"{_MOST}-{weight}", *(east + chinese if japanese else chinese + east)]


@cache
def code_points_of(file: str) -> Container[int]:
    """The code points that a fallback font draws."""
    points: Container[int] = _harfbuzz_face(file).unicodes
    return points


@lru_cache(maxsize=2_000)
def script_of(character: str) -> str:
    """The ISO 15924 code of a character's script; empty for marks and signs that scripts share."""
    import uharfbuzz

    buffer = uharfbuzz.Buffer()
    buffer.add_str(character)
    buffer.guess_segment_properties()
    return str(buffer.script or "")


def subset(file: str, characters: frozenset[str]) -> str:
    """The name of a registered font with all that these characters take, ligatures included.

    It stays registered until `forget_subsets`. The same characters give the same font.
    """
    with one_at_a_time:
        if (file, characters) not in _subsets:
            font = _subset_font(file, characters)
            pdfmetrics.registerFont(font)
            _subsets[file, characters] = font.fontName
        return _subsets[file, characters]


def shaped(text: str, font: str) -> str:
    """A text in reading order, as its glyphs in a font of `subset` are drawn from left to right."""
    with one_at_a_time:
        if (text, font) not in _shaped:
            _shaped[text, font] = shapeStr(text, font, 10) if text else text
        return _shaped[text, font]


def forget_subsets() -> None:
    """Free the fonts of `subset`. No document may be open."""
    with one_at_a_time:
        for name in _subsets.values():
            pdfmetrics.getFont(name).unregister()
        _subsets.clear()
        _shaped.clear()


def width_of(glyphs: str, font: str, size: float) -> float:
    """The width of a line, or of what `shaped` made, in millimetres; in a registered font."""
    if isinstance(glyphs, ShapedStr):
        points = sum(glyph.x_advance for glyph in glyphs.__shapeData__) * size / 1000
    else:
        points = pdfmetrics.stringWidth(glyphs, font, size)
    return float(points) / float(mm)


@cache
def _harfbuzz_face(file: str) -> Any:
    import uharfbuzz
    import weblate_fonts

    folder = Path(weblate_fonts.__file__).parent / "static" / "weblate_fonts" / "kurinto" / "ttf"
    return uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(folder / f"{file}.ttf")))


def _subset_font(file: str, characters: frozenset[str]) -> Any:
    import uharfbuzz

    wanted = uharfbuzz.SubsetInput()
    # Shaping takes some vowels apart: the Tamil ொ into ெ and ா.
    for character in unicodedata.normalize("NFD", "".join(characters)) + "".join(characters):
        wanted.unicode_set.add(ord(character))
    data = uharfbuzz.subset(_harfbuzz_face(file), wanted).blob.data
    # Two fonts of one document must not have the same name, whichever characters they have.
    name = f"{file}-{sha256(''.join(sorted(characters)).encode()).hexdigest()[:12]}"
    font = TTFont(name, BytesIO(data), asciiReadable=0)
    font.face.name = name.encode()
    _number_glyphs(font)
    return font


def _number_glyphs(font: Any) -> None:
    """Give each glyph that no character stands for, such as a ligature, a private character of its own.

    reportlab would number them as they come up, so that bytes depended on what was shaped before; and it would keep
    their widths in units of the font, not thousandths, so that viewers marked text beside where it stands.
    """
    harfbuzz_font = font.hbFont()
    for glyph in range(font.face.numGlyphs):
        if glyph not in font.face.glyphToChar:
            advance = font.pdfScale(harfbuzz_font.get_glyph_h_advance(glyph))
            font.hbAddPrivate(harfbuzz_font.glyph_to_string(glyph), glyph, advance)
