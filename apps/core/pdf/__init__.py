"""PDF documents: pages with whatever people wrote on them, in fonts that are embedded."""

from .document import (
    A4,
    A5_LANDSCAPE,
    ACCENT,
    ALERT,
    FAINT,
    INK,
    LETTER,
    RULE,
    SOFT,
    TINT,
    WHITE,
    PdfDocument,
    new_document,
)
from .fonts import BOLD, MONO, REGULAR
from .text import without_font

__all__ = [
    "A4",
    "A5_LANDSCAPE",
    "ACCENT",
    "ALERT",
    "BOLD",
    "FAINT",
    "INK",
    "LETTER",
    "MONO",
    "REGULAR",
    "RULE",
    "SOFT",
    "TINT",
    "WHITE",
    "PdfDocument",
    "new_document",
    "without_font",
]
