"""Filters of the layouts of mails: words become paragraphs, of HTML and of plain text.

Words of a mail stand in one template for both (see `apps.core.mail`). An empty line begins a paragraph; other line
breaks are those of the template's source.
"""

import re
import textwrap
from typing import Final

from django import template
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

WIDTH: Final = 76  # characters of a line of plain text (RFC 3676 recommends at most 78)
_GAP: Final = re.compile(r"\n[ \t]*\n\s*")
_BLANKS: Final = re.compile(r"[ \t\r\n]+")  # not U+00A0, which keeps an amount and its currency on a line
_PARAGRAPH: Final = '<p style="margin:0 0 16px;">{}</p>'


def _paragraphs(text: str) -> list[str]:
    lines = (_BLANKS.sub(" ", paragraph).strip() for paragraph in _GAP.split(text.strip()))
    return [line for line in lines if line]


@register.filter(is_safe=True)
def html_paragraphs(words: str) -> SafeString:
    """Words that are HTML already, each paragraph in its element; nothing for no words."""
    return mark_safe("\n".join(_PARAGRAPH.format(paragraph) for paragraph in _paragraphs(words)))  # noqa: S308


@register.filter(is_safe=True)
def text_paragraphs(words: str) -> str:
    """Words in lines of WIDTH, with an empty line between paragraphs. A link is never broken."""
    return "\n\n".join(
        textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
        for paragraph in _paragraphs(words)
    )


@register.filter(is_safe=True)
def one_line(words: str) -> str:
    """Words on one line."""
    return _BLANKS.sub(" ", words).strip()
