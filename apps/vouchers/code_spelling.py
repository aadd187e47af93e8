"""How a voucher code may be spelt: one rule for reading codes (codes.py) and for masking them (code_redaction.py).

People type and paste codes, with signs of a text around them and between. A scanner types the link of a QR code as if
its keyboard were American; a computer set to another layout writes other signs, swaps Y and Z (German), or more
(French). Here is what a symbol may look like, what may stand between symbols, and which symbols are meant.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from apps.core.plain_text import plain

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
VALUE_OF: Final = {symbol: value for value, symbol in enumerate(ALPHABET)}
LENGTH: Final = 16
LONGEST: Final = 100  # characters from the first symbol to the last

SYMBOL: Final = "[2-9A-HJKMNP-Z]"
# What nobody sees: Unicode's Default_Ignorable_Code_Point, without the planes that no keyboard reaches.
_INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
)
_SEPARATOR: Final = rf"[\s\-\u2010-\u2015\u2212{_INVISIBLE}]"
_SIGN: Final = rf"(?!{_SEPARATOR})[^0-9A-Z]"
_ANY_SIGN: Final = rf"(?:{_SEPARATOR}++(?:{_SIGN}{_SEPARATOR}*+)?|{_SIGN}{_SEPARATOR}*+)"
# On a German, Swiss, Danish or Swedish keyboard the = of the link is an accent that waits for the next letter.
_ACCENTED: Final = {
    ord(letter): symbol
    for symbol in ALPHABET[8:]
    for accent in "\u0301\u0302"
    if len(upper := unicodedata.normalize("NFC", symbol + accent)) == 1
    for letter in (upper, upper.lower())
}
FIRST: Final = f"(?:(?<![0-9A-Z]){SYMBOL}|[{''.join(map(chr, _ACCENTED))}])"
_WHOLE: Final = f"{FIRST}{SYMBOL}{{15}}"
_IN_FOURS: Final = f"{FIRST}{SYMBOL}{{3}}(?:{_ANY_SIGN}{SYMBOL}{{4}}){{3}}"
# In any other grouping; but not a part of something longer with dashes, as a UUID is.
_APART: Final = f"(?<![0-9A-Z])(?<![0-9A-Z]-){SYMBOL}(?:{_SEPARATOR}*+{SYMBOL}){{15}}"
_AT_THE_END: Final = re.compile(rf"({_WHOLE}|{_IN_FOURS}|{_APART})\Z", re.I)
_BY_HAND: Final = re.compile(f"(?:{SYMBOL}|{_SEPARATOR})*", re.I)

_NO_SYMBOL: Final = re.compile(f"[^{ALPHABET}{ALPHABET.lower()}]+")

QWERTZ: Final = str.maketrans("YZ", "ZY")
QWERTZ_DASH: Final = "ß"
# The keys of our symbols on a French or Belgian keyboard, and the key of the dash.
AZERTY: Final = str.maketrans("É\"'(-§È_!ÇAQWZ?,", "23456678" + "89QAZWMM")
_AZERTY_KEY: Final = r"""[A-LNP-ZéÉ"'(\-§èÈ_!çÇ?,]"""
AZERTY_GROUP: Final = f"{_AZERTY_KEY}{{4}}"
_AZERTY_AT_THE_END: Final = re.compile(rf"(?<![0-9A-Z])((?:{AZERTY_GROUP}\)){{3}}{AZERTY_GROUP})\Z", re.I)


def readings(typed: str) -> Iterator[str]:
    """Which 16 symbols the end of a text may mean, the likeliest first; none if it does not end as a code does."""
    text = plain(typed.strip())
    if scanned := _AZERTY_AT_THE_END.search(text):
        yield from readings_of_azerty(scanned[1])
    text = _without_trailing_signs(text)
    spelling = _AT_THE_END.search(text)
    if not spelling or len(spelling[1]) > LONGEST:
        return
    direct, *others = readings_of(spelling[1])
    yield direct
    # Who types a code sees it. There the check symbol is for typing mistakes alone, and catches each.
    if not _BY_HAND.fullmatch(text):
        yield from others


def readings_of(spelt: str) -> Iterator[str]:
    """Which 16 symbols a spelling means: as they stand, or with Y and Z swapped as on a German keyboard."""
    symbols = _symbols_in(spelt[0].translate(_ACCENTED) + spelt[1:])
    swapped = symbols.translate(QWERTZ)
    # Where the dash of an American keyboard is an ß, Z is always where its Y is.
    yield from (swapped, symbols) if QWERTZ_DASH in spelt else (symbols, swapped)


def readings_of_azerty(spelt: str) -> Iterator[str]:
    """Which 16 symbols are meant by the letters and signs that a French or Belgian keyboard has on their keys."""
    yield _symbols_in(spelt.upper().translate(AZERTY))


def _symbols_in(spelt: str) -> str:
    # First without all else: ß in upper case would be two of ours.
    return _NO_SYMBOL.sub("", spelt).upper()


def has_check_symbol(symbols: str) -> bool:
    """Whether the sum of value × position, positions counted from 1, is a multiple of 31: so the check symbol fits."""
    return sum(place * VALUE_OF[symbol] for place, symbol in enumerate(symbols, start=1)) % 31 == 0


def _without_trailing_signs(text: str) -> str:
    """What a sentence, a quotation or a mail program puts after a code is none of it."""
    end = len(text)
    while end and not text[end - 1].isalnum():
        end -= 1
    return text[:end]
