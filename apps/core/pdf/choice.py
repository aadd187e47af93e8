"""Which font each letter of a text is printed in.

A text that its face has is in that face alone. In others each letter, with its marks, is in the first font that has it
all; what no font has is printed as a box, and `lacking` names it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from arabic_reshaper import ArabicReshaper

from . import fonts
from .characters import LACKING, cleaned, clusters
from .composition import Letter, OneFont, SeveralFonts
from .direction import direction_of

_EAST_ASIAN: Final = ("Hani", "Hira", "Kana", "Hang", "Bopo")  # scripts that are shaped alike

# Devanagari, which the faces have, but not shaped; and the signs of Vedic texts.
_NEEDS_SHAPING: Final = re.compile("[\u0900-\u097f\u1cd0-\u1cff\ua8e0-\ua8ff]")

_reshaper: Final = ArabicReshaper({"use_unshaped_instead_of_isolated": True, "delete_harakat": False})


class _Part(NamedTuple):
    """A letter with its marks, and the face or file of a fallback font that has them; empty where none has."""

    text: str
    source: str


def composed(text: str, face: str) -> OneFont:
    """A text as it is printed in this face: in it alone where that does, else with fallback fonts."""
    text = cleaned(text)
    font = _font_for(text, face)
    direction = direction_of(text)
    printable = _as_printed(text, font, direction)
    if _is_whole(printable, text):
        return OneFont(printable, font, direction)
    return _with_fallbacks(text, face, direction)


def lacking(text: str, face: str) -> str:
    """The characters of a text that no font has. No subset of a font is made for it."""
    text = cleaned(text)
    if _is_whole(_as_printed(text, _font_for(text, face), direction_of(text)), text):
        return ""
    return "".join(part.text for part in _parts(text, face) if not part.source)


def _is_whole(printable: str, text: str) -> bool:
    """Whether a face alone prints a text, of which `printable` is what it has."""
    return printable.count(LACKING) == text.count(LACKING) and not _NEEDS_SHAPING.search(text)


def _font_for(text: str, face: str) -> str:
    """The face, or the second of the face if it alone has all of the text."""
    second = fonts.SECOND.get(face)
    if second:
        needed = {ord(character) for character in text}
        if not needed <= fonts.characters_of(face).keys() and needed <= fonts.characters_of(second).keys():
            return second
    fonts.characters_of(face)
    return face


def _as_printed(text: str, font: str, direction: str | None) -> str:
    """The text with Arabic letters joined and LACKING for what the face lacks, still in the order of reading."""
    if direction is not None:
        text = _reshaper.reshape(text)
    known = fonts.characters_of(font)
    return "".join(_as_known(character, known) or LACKING for character in text)


def _as_known(character: str, known: Any) -> str:
    """The character, or a full-width or joined form as ordinary letters; empty where the face has neither."""
    if ord(character) in known:
        return character
    plain = unicodedata.normalize("NFKC", character)
    return plain if all(ord(part) in known for part in plain) else ""


def _faces(face: str) -> list[str]:
    return [name for name in (face, fonts.SECOND.get(face)) if name]


def _parts(text: str, face: str) -> list[_Part]:
    files = fonts.fallbacks_for(text, face)
    return _whole_words(_sources(text, _faces(face), files), files)


def _with_fallbacks(text: str, face: str, direction: str | None) -> SeveralFonts:
    faces, parts = _faces(face), _parts(text, face)
    characters = {
        file: frozenset("".join(part.text for part in parts if part.source == file))
        for file in {part.source for part in parts}
    }
    letters: list[Letter] = []
    for source, stretch in groupby(parts, lambda part: part.source):
        words = "".join(part.text for part in stretch)
        if source in faces:
            letters += [Letter(character, source) for character in _as_printed(words, source, direction)]
        elif source:
            font = fonts.subset(source, characters[source])
            letters += [Letter(character, font, script) for character, script in _with_scripts(words)]
        else:
            letters += [Letter(LACKING, face)] * len(words)
    return SeveralFonts(letters, face, direction)


def _sources(text: str, faces: Sequence[str], files: Sequence[str]) -> Iterator[_Part]:
    """The text in letters, each with the first font that has it and its marks; apart where no font has them all."""
    for letter in clusters(text):
        if source := _source(letter, faces, files):
            yield _Part(letter, source)
        else:
            yield from (_Part(character, _source(character, faces, files)) for character in letter)


def _source(letter: str, faces: Sequence[str], files: Sequence[str]) -> str:
    if not _NEEDS_SHAPING.search(letter) and (face := _face_with(letter, faces, as_is=True)):
        return face
    for file in files:
        if all(ord(character) in fonts.code_points_of(file) for character in letter):
            return file
    return _face_with(letter, faces, as_is=False)


def _face_with(letter: str, faces: Sequence[str], *, as_is: bool) -> str:
    """The first face with all of a letter: as it is, or in another form of it."""
    for face in faces:
        known = fonts.characters_of(face)
        if all(ord(character) in known if as_is else _as_known(character, known) for character in letter):
            return face
    return ""


def _whole_words(parts: Iterator[_Part], files: Sequence[str]) -> list[_Part]:
    """The parts, with Arabic words in one font, in which alone they join, and spaces in that of their neighbours."""
    whole: list[_Part] = []
    for is_arabic, stretch in groupby(parts, lambda part: unicodedata.bidirectional(part.text[0]) == "AL"):
        word = list(stretch)
        if is_arabic and any(part.source in files for part in word):
            word = [_Part(part.text, _source(part.text, [], files) or part.source) for part in word]
        whole += word
    for index in range(1, len(whole) - 1):
        before, after = whole[index - 1].source, whole[index + 1].source
        if whole[index].text == " " and before == after and before in files:
            whole[index] = _Part(" ", before)
    return whole


def _with_scripts(text: str) -> Iterator[tuple[str, str]]:
    """Each character with its script; signs that all scripts share have that of the letter before them."""
    before = ""
    for character in text:
        script = fonts.script_of(character)
        before = (_EAST_ASIAN[0] if script in _EAST_ASIAN else script) or before or "Zyyy"
        yield character, before
