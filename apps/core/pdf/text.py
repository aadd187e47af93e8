"""Text for pages: lines that fit, in fonts that are embedded, whatever people wrote.

Text comes from people: any script, any length. What the fonts have is printed, right to left where it belongs;
for each character that they lack there is a ▯; and nothing leaves the width that it has.

Printed as they should be: Latin with all its accents (West African and Vietnamese ones too), Greek, Cyrillic,
Arabic, Hebrew, Georgian, Thai. Legible, but without ligatures: Devanagari. Not there: Ethiopic, Chinese,
Japanese, Korean, emoji.
"""

import threading
import unicodedata
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any, Final

import pymupdf_fonts
from arabic_reshaper import ArabicReshaper
from bidi.algorithm import get_display
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

# Names of faces in pymupdf_fonts. FiraGO knows the most scripts, Noto Sans some signs that it lacks, such as ₵.
REGULAR: Final = "figo"
BOLD: Final = "figbo"
MONO: Final = "cascadiab"
_SECOND: Final = {REGULAR: "notos", BOLD: "notosbo"}

LACKING: Final = "▯"
MORE: Final = "…"
_LONGEST: Final = 2_000  # characters that are looked at: more than any page takes

_reshaper: Final = ArabicReshaper({"use_unshaped_instead_of_isolated": True, "delete_harakat": False})
# reportlab reads a font through one place in its file, so two threads must not embed the same at once.
one_at_a_time: Final = threading.RLock()


def wrapped(text: str, *, face: str, size: float, width: float, max_lines: int) -> list[str]:
    """The text as at most `max_lines` lines, as they are drawn from left to right, none wider than `width` mm.

    What is too much ends with …; a word that is wider than a line is broken.
    """
    font = font_for(text, face)
    printable, rightwards = _printable(text, font)

    def wide(line: str) -> float:
        return width_of(line, font, size)

    lines: list[str] = []
    rest = printable
    while rest and len(lines) < max_lines:
        line = _first_line(rest, width, wide)
        rest = rest[len(line) :].lstrip(" ")
        if rest and len(lines) == max_lines - 1:
            while line and wide(line.rstrip(" ") + MORE) > width:
                line = line[:-1]
            line = line.rstrip(" ") + MORE
        lines.append(line.rstrip(" "))
    if rightwards is None:
        return lines
    return [str(get_display(line, base_dir=rightwards)) for line in lines]


def fitted(
    text: str, *, face: str, sizes: Sequence[float], width: float, max_lines: int
) -> tuple[list[str], float]:
    """The lines of the text at the first of `sizes`, from large to small, that holds it; at the last, cut."""
    for size in sizes[:-1]:
        lines = wrapped(text, face=face, size=size, width=width, max_lines=max_lines + 1)
        if len(lines) <= max_lines and not _breaks_a_word(text, lines):
            return lines, size
    return wrapped(text, face=face, size=sizes[-1], width=width, max_lines=max_lines), sizes[-1]


def cleaned(text: str) -> str:
    """The text composed (NFC), with one space for each stretch of white space and control characters.

    Formatting characters go, among them those that turn the direction of what follows them.
    """
    characters = []
    for character in unicodedata.normalize("NFC", text[:_LONGEST]):
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp", "Zs"):
            characters.append(" ")
        elif category not in ("Cf", "Cs") and not "\ufe00" <= character <= "\ufe0f":  # variation selectors
            characters.append(character)
    return " ".join("".join(characters).split())


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


def font_for(text: str, face: str) -> str:
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
    with one_at_a_time:
        font = TTFont(face, BytesIO(pymupdf_fonts.fontbuffers[face]()), shapable=False)
        pdfmetrics.registerFont(font)
    return font.face.charToGlyph


def width_of(line: str, font: str, size: float) -> float:
    """The width of a line in millimetres, in a registered font."""
    width: float = pdfmetrics.stringWidth(line, font, size) / float(mm)
    return width
