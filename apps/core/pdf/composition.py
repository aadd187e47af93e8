"""A text in the fonts in which it is printed, and the lines that are cut from it.

Most texts are in one font, character by character, as reportlab sets them. In texts of several fonts, the stretches in
fallback fonts are shaped by HarfBuzz, which joins, stacks and reorders letters; they say what they read.
"""

import unicodedata
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from bidi.algorithm import get_display

from . import fonts
from .characters import may_part, part_of_one_syllable
from .direction import places_of


class Run(NamedTuple):
    """A stretch of a line in one font. `reading` is what it says, where its glyphs are not its characters."""

    glyphs: str  # as drawn from left to right
    font: str
    reading: str = ""

    def width(self, size: float) -> float:
        """In millimetres, at this size of type in points."""
        return fonts.width_of(self.glyphs, self.font, size)


@dataclass(frozen=True)
class Line:
    """A line as it is drawn. `parts_words` says that the next goes on without a space, and rightly so."""

    runs: tuple[Run, ...]
    parts_words: bool = False

    def __str__(self) -> str:
        return "".join(run.reading or run.glyphs for run in self.runs)

    @property
    def is_shaped(self) -> bool:
        return any(run.reading for run in self.runs)

    def width(self, size: float) -> float:
        """In millimetres, at this size of type in points."""
        return sum(run.width(size) for run in self.runs)


class OneFont:
    """A text in one font, character by character. `direction`: see `direction_of`."""

    def __init__(self, characters: str, font: str, direction: str | None) -> None:
        self.characters = characters
        self.font = font
        self._direction = direction

    def width(self, start: int, end: int, size: float, more: str = "") -> float:
        """The width in millimetres of what stands between two places, with `more` behind it."""
        return fonts.width_of(self.characters[start:end] + more, self.font, size)

    def line(self, start: int, end: int, more: str = "") -> Line:
        """What stands between two places, with `more` behind it."""
        text = self.characters[start:end] + more
        if self._direction is not None:
            text = str(get_display(text, base_dir=self._direction))
        return Line((Run(text, self.font),))

    def may_part(self, index: int) -> bool:
        """Whether a line may begin with this character, besides behind a space."""
        return False

    def belongs_to_the_one_before(self, index: int) -> bool:
        """Whether not even a word that is wider than a line may be broken before this character."""
        return unicodedata.combining(self.characters[index]) != 0

    def may_be_cut(self, index: int) -> bool:
        """Whether … may stand for what begins with this character."""
        return True


class Letter(NamedTuple):
    """A character and the font that it is printed in. `script` is empty in fonts that are not shaped."""

    character: str
    font: str
    script: str = ""


class SeveralFonts(OneFont):
    """A text in several fonts, some of them shaped."""

    def __init__(self, letters: list[Letter], font: str, direction: str | None) -> None:
        super().__init__("".join(letter.character for letter in letters), font, direction)
        self._letters = letters

    def width(self, start: int, end: int, size: float, more: str = "") -> float:
        wide = 0.0
        for (font, script), stretch in groupby(self._part(start, end, more), lambda letter: letter[1:]):
            text = "".join(letter.character for letter in stretch)
            wide += fonts.width_of(fonts.shaped(text, font) if script else text, font, size)
        return wide

    def line(self, start: int, end: int, more: str = "") -> Line:
        letters = self._part(start, end, more)
        runs = []
        order = places_of("".join(letter.character for letter in letters), self._direction)
        for (font, script, _), places in groupby(
            order, lambda place: (*letters[place.origin][1:], place.level)
        ):
            stretch = list(places)
            drawn = "".join(place.drawn for place in stretch)
            if not script:
                runs.append(Run(drawn, font))
                continue
            first, last = sorted((stretch[0].origin, stretch[-1].origin))
            reading = "".join(letter.character for letter in letters[first : last + 1])
            # HarfBuzz turns letters that run from right to left; signs alone it does not.
            glyphs = fonts.shaped(reading if _has_letters(reading) else drawn, font)
            runs.append(Run(glyphs, font, reading))
        inside = end < len(self.characters) and self.characters[end] != " "
        return Line(tuple(runs), parts_words=inside and self.may_part(end))

    def may_part(self, index: int) -> bool:
        return may_part(self.characters[index - 1], self.characters[index])

    def belongs_to_the_one_before(self, index: int) -> bool:
        return part_of_one_syllable(self.characters[index - 1], self.characters[index])

    def may_be_cut(self, index: int) -> bool:
        return not self.belongs_to_the_one_before(index)

    def _part(self, start: int, end: int, more: str) -> list[Letter]:
        return self._letters[start:end] + [Letter(character, self.font) for character in more]


def _has_letters(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in ("L", "R", "AL") for character in text)
