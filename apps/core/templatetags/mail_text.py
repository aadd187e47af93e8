"""Filters of the layouts of mails: words become paragraphs, of HTML and of plain text.

Words of a mail stand in one template for both (see `apps.core.mail`). An empty line begins a paragraph; other line
breaks are those of the template's source.
"""

import re
from typing import Any, Final

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

WIDTH: Final = 76  # characters of a line of plain text (RFC 3676 recommends at most 78)
_GAP: Final = re.compile(r"\n[ \t]*\n\s*")
_BLANKS: Final = re.compile(r"[ \t\r\n]+")  # not U+00A0, which keeps an amount and its currency on a line
_PARAGRAPH: Final = '<p style="margin:0 0 16px;">{}</p>'


def _paragraphs(text: str) -> list[str]:
    lines = (_BLANKS.sub(" ", paragraph).strip() for paragraph in _GAP.split(text.strip()))
    return [line for line in lines if line]


def _filled(paragraph: str) -> str:
    """Words in lines of WIDTH. Not by `textwrap`, which splits them again by an expression for all kinds of text."""
    lines, line = [], ""
    for word in paragraph.split(" "):
        if line and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


@register.filter(is_safe=True)
def html_paragraphs(words: str) -> SafeString:
    """Words that are HTML already, each paragraph in its element; nothing for no words."""
    return mark_safe("\n".join(_PARAGRAPH.format(paragraph) for paragraph in _paragraphs(words)))  # noqa: S308


@register.filter(is_safe=True)
def text_paragraphs(words: str) -> str:
    """Words in lines of WIDTH, with an empty line between paragraphs. A link is never broken."""
    return "\n\n".join(_filled(paragraph) for paragraph in _paragraphs(words))


@register.filter(is_safe=True)
def one_line(words: str) -> str:
    """Words on one line."""
    return _BLANKS.sub(" ", words).strip()


class OncePerValueNode(template.Node):
    """See `once_per`."""

    def __init__(self, value: FilterExpression, nodelist: NodeList) -> None:
        self.value, self.nodelist = value, nodelist

    def render(self, context: Any) -> str:
        """What stands in it, as it was written for this value the first time."""
        written = context.render_context.setdefault(self, {})
        value = self.value.resolve(context)
        if value not in written:
            written[value] = self.nodelist.render(context)
        return str(written[value])


@register.tag
def once_per(parser: Parser, token: Token) -> OncePerValueNode:
    """`{% once_per value %}…{% endonce_per %}`: what depends on this value alone, and stands in a loop.

    It is written once for each value of a rendering: ten things that were bought at once have the same state.
    """
    _, value = token.split_contents()
    nodelist = parser.parse(("endonce_per",))
    parser.delete_first_token()
    return OncePerValueNode(parser.compile_filter(value), nodelist)
