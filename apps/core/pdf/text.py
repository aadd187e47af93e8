"""Text for pages: lines that fit, in fonts that are embedded, whatever people wrote.

Text comes from people: any script, any length. What the fonts have is printed, right to left where it belongs;
for each character that they lack there is a ▯; and nothing leaves the width that it has.

The faces have Latin with all its accents (West African and Vietnamese ones too), Greek, Cyrillic, Arabic, Hebrew,
Georgian and Thai; the fallback fonts have most other scripts in use. Not there: Khmer, Burmese, Tibetan.
"""

from collections.abc import Sequence

from reportlab.lib.units import mm

from .characters import MORE, cleaned
from .choice import composed, lacking
from .composition import Line, OneFont
from .fonts import BOLD, REGULAR


def wrapped(text: str, *, face: str, size: float, width: float, max_lines: int) -> list[Line]:
    """The text as at most `max_lines` lines, none wider than `width` mm.

    What is too much ends with …; a word that is wider than a line is broken.
    """
    return _lines(composed(text, face), size, width, max_lines)


def fitted(
    text: str,
    *,
    face: str,
    sizes: Sequence[float],
    width: float,
    max_lines: int,
    height: float = 1000,
) -> tuple[list[Line], float]:
    """The lines of the text at the first of `sizes`, from large to small, that holds it; at the last, cut.

    None but the last takes more than `height` mm.
    """
    whole = composed(text, face)
    for size in sizes[:-1]:
        lines = _lines(whole, size, width, max_lines + 1)
        has_room = len(lines) <= max_lines and len(lines) * line_height(size) <= height
        if has_room and not _breaks_a_word(text, lines):
            return lines, size
    return _lines(whole, sizes[-1], width, max_lines), sizes[-1]


def line_height(size: float) -> float:
    """From one line to the next, in millimetres."""
    return size * 1.3 / float(mm)


def without_font(text: str) -> str:
    """The characters of a text that no font has, each once; on paper, each is a ▯. Empty where all are there."""
    if text.isascii():  # no need to read fonts
        return ""
    return "".join(dict.fromkeys("".join(lacking(text, face) for face in (REGULAR, BOLD))))


def _lines(text: OneFont, size: float, room: float, max_lines: int) -> list[Line]:
    lines: list[Line] = []
    start = 0
    while start < len(text.characters) and len(lines) < max_lines:
        end = _end_of_line(text, start, size, room)
        following = end
        while text.characters[following : following + 1] == " ":
            following += 1
        end = _before_spaces(text, start, end)
        if following < len(text.characters) and len(lines) == max_lines - 1:
            lines.append(_cut_line(text, start, end, size, room))
        else:
            lines.append(text.line(start, end))
        start = following
    return lines


def _end_of_line(text: OneFont, start: int, size: float, room: float) -> int:
    """Where the longest line ends that has room, behind a space if there is one; it has at least one character."""
    characters = text.characters
    end = start
    for index in range(start, len(characters)):
        if text.width(start, _before_spaces(text, start, index + 1), size) > room:
            break
        if characters[index] == " " or (index + 1 < len(characters) and text.may_part(index + 1)):
            end = index + 1
    else:
        return len(characters)
    if end > start:
        return end
    while index > start + 1 and text.belongs_to_the_one_before(index):
        index -= 1  # an accent stays with its letter
    return max(start + 1, index)


def _cut_line(text: OneFont, start: int, end: int, size: float, room: float) -> Line:
    """As much of a line as has room with … behind it."""
    while end > start and text.width(start, _before_spaces(text, start, end), size, MORE) > room:
        end -= 1
        while end > start and not text.may_be_cut(end):
            end -= 1
    return text.line(start, _before_spaces(text, start, end), MORE)


def _before_spaces(text: OneFont, start: int, end: int) -> int:
    while end > start and text.characters[end - 1] == " ":
        end -= 1
    return end


def _breaks_a_word(text: str, lines: Sequence[Line]) -> bool:
    words = sum(len(str(line).split()) - line.parts_words for line in lines)
    return words > len(cleaned(text).split())
