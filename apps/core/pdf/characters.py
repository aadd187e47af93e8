"""What people wrote as characters to print: cleaned, and in clusters that no line break and no change of font parts."""

import unicodedata
from typing import Final

LACKING: Final = "▯"
MORE: Final = "…"
_LONGEST: Final = 2_000  # characters that are looked at: more than any page takes
_JOINERS: Final = "\u200c\u200d"
_VIRAMA: Final = 9  # the combining class of signs that join two letters of an Indian script
_PULLI: Final = "\u0bcd"


def cleaned(text: str) -> str:
    """The text composed (NFC), with one space for each stretch of white space and control characters.

    Formatting characters go, among them those that turn the direction of what follows them, and noncharacters. Joiners
    behind a virama stay: they are part of how words of Indian scripts are spelled.
    """
    characters: list[str] = []
    for character in unicodedata.normalize("NFC", text[:_LONGEST]):
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp", "Zs"):
            characters.append(" ")
        elif character in _JOINERS:
            if characters and unicodedata.combining(characters[-1]) == _VIRAMA:
                characters.append(character)
        elif category in ("Cf", "Cs") or _is_noncharacter(character):
            continue
        elif not "\ufe00" <= character <= "\ufe0f":  # variation selectors
            characters.append(character)
    return " ".join("".join(characters).split())


def _is_noncharacter(character: str) -> bool:
    """Whether Unicode will never make it a character. Fonts have U+FFFF all the same, and nothing knows which way it
    runs."""
    number = ord(character)
    return number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF


def clusters(text: str) -> list[str]:
    """The text in letters, each with the marks and joiners that follow it."""
    parts: list[str] = []
    for character in text:
        if parts and parts[-1] != " " and (is_mark(character) or character in _JOINERS):
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def is_mark(character: str) -> bool:
    """Whether a character stands on, below or beside the letter before it, and never alone."""
    return unicodedata.category(character).startswith("M")


def part_of_one_syllable(before: str, after: str) -> bool:
    """Whether two neighbours are drawn as one: a letter and its mark, or letters that a virama joins.

    That of Tamil joins none: it says that its letter has no vowel.
    """
    joined = unicodedata.combining(before) == _VIRAMA and before != _PULLI
    return joined or before in _JOINERS or after in _JOINERS or is_mark(after)


def may_part(before: str, after: str) -> bool:
    """Whether a line may end between two neighbours without a space: beside Chinese and Japanese characters.

    No line begins with a sign that closes, a small kana or a mark of length, and none ends with one that opens.
    """
    if not (_is_east_asian(before) or _is_east_asian(after)):
        return False
    closes = unicodedata.category(after) in ("Pe", "Pf", "Po", "Lm") or unicodedata.name(
        after, ""
    ).startswith(("HIRAGANA LETTER SMALL", "KATAKANA LETTER SMALL"))
    return not closes and not is_mark(after) and unicodedata.category(before) not in ("Ps", "Pi")


def _is_east_asian(character: str) -> bool:
    """Whether it is an ideograph, a kana, or a sign set among them. Korean words have spaces between them."""
    return unicodedata.name(character, "").startswith(
        ("CJK ", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "BOPOMOFO")
    )
