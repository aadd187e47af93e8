"""Text in the cells of a spreadsheet: shown, and never run."""

import re
from typing import Final

LONGEST_CELL: Final = 32_767  # characters; of more, spreadsheets show none or refuse the file

# At the start, and after what some countries' spreadsheets take for the end of a cell; the last four are wide letters.
_START: Final = r"(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
_FORMULA_START: Final = re.compile(rf"(^ *|[;\t\r\n] *){_START}")
_IS_FORMULA: Final = re.compile(rf" *{_START}")
# No XML can hold these (XML 1.0, section 2.2), and in a CSV they end a cell early, or confuse whoever reads it.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# Most texts, as one look tells: they begin with a letter or digit, and have nothing that the other patterns look for.
_PLAIN: Final = re.compile(r"\w[\w .,:/@()'+-]{0,1000}")


def is_plain(text: str) -> bool:
    """Whether `escape_formula` and `printable` surely leave the text as it is; many cells are asked for it."""
    return _PLAIN.fullmatch(text) is not None


def escape_formula(text: str) -> str:
    """The text as spreadsheets show it, and never run it as a formula: an apostrophe before what would start one.

    As OWASP advises ("CSV Injection"), also after a separator that only some countries' spreadsheets know.
    """
    return _FORMULA_START.sub(r"\1'", text)


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet would take the text for a formula if somebody typed it into a cell."""
    return _IS_FORMULA.match(text) is not None


def printable(text: str) -> str:
    """The text without control characters but tabs and ends of lines, and no longer than a cell may be."""
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
