"""Voucher codes: how they are generated, written, and read back from what a person typed.

A code is 15 symbols of a 31-symbol alphabet without look-alikes, which carry 74 random bits of a version 4
UUID, and one check symbol. It is stored as these 16 symbols and shown in groups of four.
"""

import uuid
from operator import mul
from typing import Final

from apps.core.errors import InvalidError

from . import code_spelling
from .code_spelling import ALPHABET as ALPHABET
from .code_spelling import LENGTH as LENGTH
from .code_spelling import VALUE_OF

BASE: Final = len(ALPHABET)
LONGEST_INPUT: Final = 500  # characters: the link of a QR code may be long
HIDDEN: Final = "-".join(["·" * 4] * 4)  # where even the last four symbols would tell too much
FRAGMENT: Final = "#code="  # ends the link that a QR code holds; the code follows

_PAIRS: Final = [first + then for then in ALPHABET for first in ALPHABET]  # by value, the lower digit first
_PAIRS_DRAWN: Final = (LENGTH - 1) // 2
_WEIGHTS: Final = range(1, LENGTH)
_INVERSE_OF_LAST_WEIGHT: Final = pow(LENGTH, -1, BASE)


class CodeMalformed(InvalidError):
    """What was typed can't be a code: wrong length, wrong symbols, or a check symbol that does not fit."""

    code = "code_malformed"
    detail = "This is not a voucher code. Please check it for typing mistakes."


def make() -> str:
    """A new code, 16 symbols without dashes. It is unique but for chance (74 bits); the database decides."""
    number = _random_bits(uuid.uuid4())
    symbols = ""
    for _ in range(_PAIRS_DRAWN):  # two at a time: half as many divisions
        number, pair = divmod(number, BASE * BASE)
        symbols += _PAIRS[pair]
    symbols += ALPHABET[number % BASE]
    return symbols + check_symbol(symbols)


def check_symbol(symbols: str) -> str:
    """The symbol that makes the sum of value × position a multiple of 31, positions counted from 1.

    31 is a prime and the 16 weights are different and not zero, so one wrong symbol changes the sum, and so
    does a swap of any two symbols that differ. (The idea of ISBN-10.)
    """
    total = sum(map(mul, _WEIGHTS, map(VALUE_OF.__getitem__, symbols)))
    return ALPHABET[-total * _INVERSE_OF_LAST_WEIGHT % BASE]


def parse(typed: str) -> str:
    """The 16 symbols of the code that ends a text, in any case, whatever stands before: such as the link of a QR code.

    Of whichever site: paper outlives addresses. Between symbols there may be dashes, spaces and what nobody sees;
    between groups of four any single sign. Y and Z are swapped, and the signs and letters of a French keyboard are
    taken for what they are on an American one, if that makes the check symbol right (see code_spelling.py).
    Raises CodeMalformed; no look-up is needed to find a typing mistake.
    """
    if len(typed) <= LONGEST_INPUT:
        for symbols in code_spelling.readings(typed):
            if code_spelling.has_check_symbol(symbols):
                return symbols
    raise CodeMalformed


def parse_or_none(typed: str) -> str | None:
    """The 16 symbols if this is a code, as `parse` reads it, and else None."""
    try:
        return parse(typed)
    except CodeMalformed:
        return None


def is_last_four(typed: str) -> bool:
    """Whether this may be the last four symbols of a code, in any case."""
    return len(typed) == 4 and typed.isascii() and all(symbol in VALUE_OF for symbol in typed.upper())


def format_code(code: str) -> str:
    """The code as people see it: XXXX-XXXX-XXXX-XXXX."""
    return f"{code[:4]}-{code[4:8]}-{code[8:12]}-{code[12:]}"


def mask_code(code: str) -> str:
    """The code as staff lists show it: only its last four symbols."""
    return f"····-{code[-4:]}"


def _random_bits(source: uuid.UUID) -> int:
    """The 122 bits of a version 4 UUID that are random (RFC 9562, section 5.4), as a number."""
    number = source.int
    return (number >> 80) << 74 | (number >> 64 & 0xFFF) << 62 | number & (1 << 62) - 1
