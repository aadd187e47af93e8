"""Text in other forms of ASCII characters, such as full-width letters, as these."""

import unicodedata
from typing import Final


class _Plain(dict[int, str]):
    """A table for str.translate: what is one ASCII character in another form (NFKC), such as a full-width letter."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        plain = unicodedata.normalize("NFKC", character) if number <= 0xFFFF else character
        return plain if len(plain) == 1 and plain.isascii() else character


_PLAIN: Final = _Plain({number: chr(number) for number in range(128)})


def plain(text: str) -> str:
    """The text with full-width and other forms of ASCII characters as these; as long as before."""
    return text if text.isascii() else text.translate(_PLAIN)
