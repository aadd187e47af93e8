"""Paper: pages as PDF, with whatever people wrote on them, in fonts that are embedded.

Text comes from people: any script, any length. What the fonts have is printed, right to left where it belongs;
for each character that they lack there is a ▯; and nothing leaves the width that it was given.

Printed as they should be: Latin with all its accents (West African and Vietnamese ones too), Greek, Cyrillic,
Arabic, Hebrew, Georgian, Thai. Legible, but without ligatures: Devanagari. Not there: Ethiopic, Chinese,
Japanese, Korean, emoji.
"""

import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import Any, Final

import pymupdf_fonts
from arabic_reshaper import ArabicReshaper
from bidi.algorithm import get_display
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

# Names of faces in pymupdf_fonts. FiraGO knows the most scripts, Noto Sans some signs that it lacks, such as ₵.
REGULAR: Final = "figo"
BOLD: Final = "figbo"
MONO: Final = "cascadiab"
_SECOND: Final = {REGULAR: "notos", BOLD: "notosbo"}

INK: Final = HexColor(0x1B2433)
SOFT: Final = HexColor(0x5B6677)
FAINT: Final = HexColor(0xA9B2C0)
RULE: Final = HexColor(0xD5DBE4)
TINT: Final = HexColor(0xF2F5F9)
ACCENT: Final = HexColor(0x1F4E79)
ALERT: Final = HexColor(0xB3261E)
WHITE: Final = white

A4: Final = (210.0, 297.0)
A5_LANDSCAPE: Final = (210.0, 148.0)

LACKING: Final = "▯"
MORE: Final = "…"
_LONGEST: Final = 2_000  # characters that are looked at: more than any page takes

_reshaper: Final = ArabicReshaper({"use_unshaped_instead_of_isolated": True, "delete_harakat": False})
# reportlab reads a font through one place in its file, so two threads must not embed the same at once.
_one_at_a_time: Final = threading.RLock()


@contextmanager
def paper(size: tuple[float, float], *, title: str) -> "Iterator[PdfDocument]":
    """A new document with pages of (width, height) in millimetres. One is made at a time; the others wait."""
    with _one_at_a_time:
        yield PdfDocument(size, title)


class PdfDocument:
    """Pages to draw on. Places are millimetres from the left and from the top; sizes of type are points.

    The same drawing gives the same bytes: no time and no random id is in them.
    """

    def __init__(self, size: tuple[float, float], title: str) -> None:
        self.width, self.height = size
        self._file = BytesIO()
        self._canvas = Canvas(
            self._file, (self.width * mm, self.height * mm), invariant=1, pageCompression=1, lang="en"
        )
        self._canvas.setTitle(title)
        self._canvas.setAuthor("Voucher App")
        self._canvas.setSubject(title)

    def pdf(self) -> bytes:
        """The finished document; nothing can be drawn after it."""
        self._canvas.showPage()
        self._canvas.save()
        return self._file.getvalue()

    def next_page(self) -> None:
        """Go on with an empty page."""
        self._canvas.showPage()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        face: str = REGULAR,
        size: float = 10,
        colour: Color = INK,
        align: str = "left",
        width: float = 1000,
        spacing: float = 0,
    ) -> float:
        """One line with its baseline at `y`, cut with … where it is wider than `width`; its width in mm."""
        (line,) = wrapped(text, face=face, size=size, width=width, most=1) or [""]
        font = _font_for(text, face)
        wide = _width(line, font, size) + max(0, len(line) - 1) * spacing
        left = x - {"left": 0, "centre": wide / 2, "right": wide}[align]
        self._canvas.setFillColor(colour)
        self._canvas.setFont(font, size)
        self._canvas.drawString(left * mm, self._up(y), line, charSpace=spacing * mm)
        return wide

    def paragraph(
        self,
        x: float,
        y: float,
        text: str,
        *,
        width: float,
        most: int,
        face: str = REGULAR,
        sizes: Sequence[float] = (10,),
        colour: Color = INK,
        align: str = "left",
    ) -> float:
        """Lines below `y`, at the first of `sizes` in which `most` lines hold them; where the next may begin."""
        lines, size = fitted(text, face=face, sizes=sizes, width=width, most=most)
        font = _font_for(text, face)
        height = size * 1.3 / float(mm)
        self._canvas.setFillColor(colour)
        self._canvas.setFont(font, size)
        for number, line in enumerate(lines):
            wide = _width(line, font, size)
            left = x - {"left": 0, "centre": wide / 2, "right": wide}[align]
            self._canvas.drawString(left * mm, self._up(y + number * height + height * 0.78), line)
        return y + len(lines) * height

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: Color | None = None,
        line: Color | None = None,
        thick: float = 0.25,
        radius: float = 0,
    ) -> None:
        """A rectangle with its top left corner at (x, y)."""
        if fill is not None:
            self._canvas.setFillColor(fill)
        if line is not None:
            self._canvas.setStrokeColor(line)
            self._canvas.setLineWidth(thick * mm)
        self._canvas.roundRect(
            x * mm,
            self._up(y + height),
            width * mm,
            height * mm,
            radius * mm,
            stroke=int(line is not None),
            fill=int(fill is not None),
        )

    def line(
        self,
        x: float,
        y: float,
        to_x: float,
        to_y: float,
        *,
        colour: Color = RULE,
        thick: float = 0.25,
        dashed: bool = False,
    ) -> None:
        """A straight line."""
        self._canvas.setStrokeColor(colour)
        self._canvas.setLineWidth(thick * mm)
        self._canvas.setDash([1.2 * mm, 1.2 * mm] if dashed else [])
        self._canvas.line(x * mm, self._up(y), to_x * mm, self._up(to_y))
        self._canvas.setDash([])

    def matrix(self, x: float, y: float, side: float, rows: Sequence[Sequence[bool]]) -> None:
        """A square of `side` mm made of black and white squares, such as a QR code."""
        self.box(x, y, side, side, fill=WHITE)
        step = side * mm / len(rows)
        top = self._up(y)
        path = self._canvas.beginPath()
        for row, cells in enumerate(rows):
            for start, length in _runs(cells):
                # A hair taller than the row, or viewers show a light seam between rows.
                path.rect(
                    x * mm + start * step, top - (row + 1) * step - 0.02 * step, length * step, 1.02 * step
                )
        self._canvas.setFillColor(Color(0, 0, 0))
        self._canvas.drawPath(path, stroke=0, fill=1)

    def _up(self, y: float) -> float:
        return (self.height - y) * float(mm)


def wrapped(text: str, *, face: str, size: float, width: float, most: int) -> list[str]:
    """The text as at most `most` lines, as they are drawn from left to right, none wider than `width` mm.

    What is too much ends with …; a word that is wider than a line is broken.
    """
    font = _font_for(text, face)
    printable, rightwards = _printable(text, font)

    def wide(line: str) -> float:
        return _width(line, font, size)

    lines: list[str] = []
    rest = printable
    while rest and len(lines) < most:
        line = _first_line(rest, width, wide)
        rest = rest[len(line) :].lstrip(" ")
        if rest and len(lines) == most - 1:
            while line and wide(line.rstrip(" ") + MORE) > width:
                line = line[:-1]
            line = line.rstrip(" ") + MORE
        lines.append(line.rstrip(" "))
    if rightwards is None:
        return lines
    return [str(get_display(line, base_dir=rightwards)) for line in lines]


def fitted(
    text: str, *, face: str, sizes: Sequence[float], width: float, most: int
) -> tuple[list[str], float]:
    """The lines of the text at the first of `sizes`, from large to small, that holds it; at the last, cut."""
    for size in sizes[:-1]:
        lines = wrapped(text, face=face, size=size, width=width, most=most + 1)
        if len(lines) <= most and not _breaks_a_word(text, lines):
            return lines, size
    return wrapped(text, face=face, size=sizes[-1], width=width, most=most), sizes[-1]


def cleaned(text: str) -> str:
    """The text composed (NFC), with one space for each stretch of white space and control characters.

    Formatting characters go, among them those that turn the direction of what follows them.
    """
    kept = []
    for character in unicodedata.normalize("NFC", text[:_LONGEST]):
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp", "Zs"):
            kept.append(" ")
        elif category not in ("Cf", "Cs") and not "\ufe00" <= character <= "\ufe0f":  # variation selectors
            kept.append(character)
    return " ".join("".join(kept).split())


def _first_line(text: str, room: float, wide: Any) -> str:
    """The longest beginning of `text` that has room, up to a space if there is one; at least one character."""
    end = 0
    for index, character in enumerate(text):
        if wide(text[: index + 1].rstrip(" ")) > room:
            break
        if character == " ":
            end = index + 1
    else:
        return text
    if end:
        return text[:end]
    while index > 1 and unicodedata.combining(text[index]):
        index -= 1  # an accent stays with its letter
    return text[: max(1, index)]


def _breaks_a_word(text: str, lines: Sequence[str]) -> bool:
    return sum(len(line.split()) for line in lines) > len(cleaned(text).split())


def _printable(text: str, font: str) -> tuple[str, str | None]:
    """The text with Arabic letters joined and LACKING for what the font lacks, still in the order of reading;
    and "R" or "L", the direction of the whole, where some of it runs from right to left."""
    text = cleaned(text)
    directions = [unicodedata.bidirectional(character) for character in text]
    rightwards = None
    if any(direction in ("R", "AL", "AN") for direction in directions):
        strong = next((direction for direction in directions if direction in ("L", "R", "AL")), "R")
        rightwards = "L" if strong == "L" else "R"
        text = _reshaper.reshape(text)
    known = _characters_of(font)
    return "".join(_as_known(character, known) for character in text), rightwards


def _as_known(character: str, known: Any) -> str:
    if ord(character) in known:
        return character
    plain = unicodedata.normalize("NFKC", character)  # a full-width or joined form as ordinary letters
    return plain if all(ord(part) in known for part in plain) else LACKING


def _font_for(text: str, face: str) -> str:
    """The registered font to write a text in: the second of the face if it alone has all of it."""
    second = _SECOND.get(face)
    if second:
        needed = {ord(character) for character in cleaned(text)}
        if not needed <= _characters_of(face).keys() and needed <= _characters_of(second).keys():
            return second
    _characters_of(face)
    return face


@cache
def _characters_of(face: str) -> Any:
    """The characters of a face, which this registers at its first use."""
    with _one_at_a_time:
        font = TTFont(face, BytesIO(pymupdf_fonts.fontbuffers[face]()), shapable=False)
        pdfmetrics.registerFont(font)
    return font.face.charToGlyph


def _width(line: str, font: str, size: float) -> float:
    width: float = pdfmetrics.stringWidth(line, font, size) / float(mm)
    return width


def _runs(cells: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """(start, length) of each stretch of dark cells."""
    start = None
    for index, dark in enumerate([*cells, False]):
        if dark and start is None:
            start = index
        elif not dark and start is not None:
            yield start, index - start
            start = None
