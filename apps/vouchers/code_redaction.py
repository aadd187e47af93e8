"""Where a text holds voucher codes, for logs: named in LOG_REDACTORS (see core/logs/redaction.py)."""

import re
from collections.abc import Iterator
from typing import Final

from .code_spelling import AZERTY_GROUP, FIRST, SYMBOL, has_check_symbol, readings_of, readings_of_azerty

_START: Final = "(?<![0-9A-Z])"
_END: Final = "(?![0-9A-Z])"
# As many as the application reads in a code, and taken for good: what somebody sends must not keep a process busy.
_FEW: Final = "{1,100}+"
_BLANK: Final = r"[\s\-+_.\x00-\x1f\x80-\U0010ffff]"

# A voucher code but for its last four symbols, in one piece or in groups of four, where a typing mistake is still a
# secret. Within a lookahead, so that words before a code don't use up its groups. A UUID is neither.
_CODES: Final = (
    re.compile(rf"(?=({FIRST}{SYMBOL}{{11}}){SYMBOL}{{4}}{_END})", re.I | re.A),
    re.compile(
        rf"(?=({FIRST}{SYMBOL}{{3}}{_BLANK}{_FEW}(?:{SYMBOL}{{4}}{_BLANK}{_FEW}){{2}}){SYMBOL}{{4}}{_END})",
        re.I | re.A,
    ),
)
# In whatever else the application reads, where the check symbol tells it from words: with any sign between groups of
# four, in any other grouping (no part of a UUID), and as a French keyboard writes it.
_MAYBE_BLANK: Final = f"(?:{_BLANK}{_FEW})?+"
_BETWEEN: Final = f"(?:{_BLANK}{_FEW}(?:[^0-9A-Z]{_MAYBE_BLANK})?+|[^0-9A-Z]{_MAYBE_BLANK})"
_SPELT: Final = (
    (
        re.compile(
            rf"(?=({FIRST}{SYMBOL}{{3}}{_BETWEEN}(?:{SYMBOL}{{4}}{_BETWEEN}){{2}})({SYMBOL}{{4}}){_END})",
            re.I | re.A,
        ),
        readings_of,
    ),
    (
        re.compile(
            rf"{_START}(?<![0-9A-Z]-)(?=((?:{SYMBOL}{_MAYBE_BLANK}){{12}})"
            rf"({SYMBOL}(?:{_MAYBE_BLANK}{SYMBOL}){{3}})(?!-?[0-9A-Z]))",
            re.I | re.A,
        ),
        readings_of,
    ),
    (
        re.compile(rf"{_START}(?=((?:{AZERTY_GROUP}\)){{3}})({AZERTY_GROUP}))", re.I | re.A),
        readings_of_azerty,
    ),
)


def code_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each voucher code in a plain text, but for the code's last four symbols."""
    for pattern in _CODES:
        for match in pattern.finditer(text):
            yield match.span(1)
    for pattern, readings in _SPELT:
        for match in pattern.finditer(text):
            if any(map(has_check_symbol, readings(match[1] + match[2]))):
                yield match.span(1)
