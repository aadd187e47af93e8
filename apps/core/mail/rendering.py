"""Rendering the words of a mail in a layout, as Django does, but with all that never changes worked out once.

Django looks at each rendering anew which block stands where, and runs filters over text without a variable. For a mail
that a buyer waits for this took most of the time. So the templates of a mail are joined into one when they are first
used: each block stands in its place, and so does what is included. Variables that are plain text, and conditions on a
variable, are looked up without the steps that other values need.
"""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from html import escape
from typing import Any, Final

from django.conf import settings
from django.template import Context, Template, engines
from django.template.base import Node, NodeList, TextNode, Variable, VariableNode
from django.template.defaultfilters import date
from django.template.defaulttags import CommentNode, FilterNode, IfNode, LoadNode, TemplateLiteral
from django.template.loader_tags import BlockNode, ExtendsNode, IncludeNode
from django.utils.formats import date_format
from django.utils.timezone import get_current_timezone, localtime
from django.utils.translation import get_language

_SILENT: Final = (CommentNode, LoadNode)

Blocks = dict[str, BlockNode]


class _Text(Node):
    """A variable without filters: mostly a text or a whole number; any other value is left to Django's own node."""

    def __init__(self, node: VariableNode, names: tuple[str, ...]) -> None:
        self.node, self.names = node, names

    def render_annotated(self, context: Context) -> str:
        """As the node of Django."""
        value = _value(context, self.names)
        if type(value) is str:  # one that is safe already has a type of its own
            return escape(value) if context.autoescape else value
        if type(value) is int and not settings.USE_THOUSAND_SEPARATOR:
            return str(value)
        return str(self.node.render_annotated(context))


class _Date(Node):
    """A variable with Django's filter `date` alone: a mail has each moment as text and as HTML."""

    def __init__(self, node: VariableNode, names: tuple[str, ...], form: str) -> None:
        self.node, self.names, self.form = node, names, form

    def render_annotated(self, context: Context) -> str:
        """As the node of Django."""
        value = _value(context, self.names)
        if type(value) is not datetime or value.tzinfo is None:
            return str(self.node.render_annotated(context))
        # By UTC, as in any other zone the two moments of an hour that its clocks show twice are equal to Python.
        text = _date_text(value.astimezone(UTC), self.form, get_language(), get_current_timezone())
        return escape(text) if context.autoescape else text


@lru_cache(maxsize=64)
def _date_text(moment: datetime, form: str, language: str | None, zone: tzinfo) -> str:
    """A moment as the filter writes it in a language, in the time zone."""
    return date_format(localtime(moment, zone), form)


class _Condition:
    """A variable alone as the condition of an `if`."""

    def __init__(self, condition: Any, names: tuple[str, ...]) -> None:
        self.condition, self.names = condition, names

    def eval(self, context: Context) -> Any:
        """Something that is true or false as the variable is."""
        value = _value(context, self.names)
        return value if type(value) in _PLAIN else self.condition.eval(context)


_PLAIN: Final = (str, bool, int)


def _value(context: Context, names: tuple[str, ...]) -> Any:
    """What a variable is, `name` or `name.key` of a dict; None where only Django knows."""
    value: Any = context
    for name in names:
        try:
            value = value[name]
        except (KeyError, TypeError, IndexError):
            return None
    return value


def _names(expression: Any) -> tuple[str, ...] | None:
    """The names of a variable without filters; None for any other expression."""
    return None if expression.filters else _names_of(expression.var)


def _names_and_form(expression: Any) -> tuple[tuple[str, ...], str] | None:
    """The names of a variable with the filter `date` alone, and its form; None for any other expression."""
    names = _names_of(expression.var)
    match expression.filters:
        case [(function, [(False, form)])] if names and function is date:
            return names, form
    return None


def _names_of(variable: Any) -> tuple[str, ...] | None:
    """The names of a variable; None for a constant or a text to translate."""
    return variable.lookups if isinstance(variable, Variable) and not variable.translate else None


def render(words: str, layout: str, context: Mapping[str, Any]) -> str:
    """What `render_to_string(words, {**context, "layout": layout})` returns.

    `{{ block.super }}` is nothing here. Raises what Django raises for a template that is missing or wrong.
    """
    # Found anew each time, among templates that are kept: one that was edited while developing is another.
    template: Any = engines["django"].get_template(words)
    return str(_joined(template.template, layout).render(Context(dict(context))))


@lru_cache(maxsize=512)  # more than there are mails and layouts, in all languages
def _joined(words: Template, layout: str) -> Template:
    """A template without inheritance that renders the same."""
    blocks: Blocks = {}
    template = words
    while (extends := _extends(template)) is not None:
        blocks = {**extends.blocks, **blocks}
        parent: Any = extends.parent_name  # an expression: of words it is `layout`
        template = template.engine.get_template(parent.resolve(Context({"layout": layout})))
    joined = copy.copy(words)
    joined.nodelist = _flat(template.nodelist, blocks, words)
    return joined


def _extends(template: Template) -> ExtendsNode | None:
    first = next((node for node in template.nodelist if not isinstance(node, TextNode)), None)
    return first if isinstance(first, ExtendsNode) else None


def _flat(nodes: NodeList, blocks: Blocks, words: Template) -> NodeList:
    """The nodes, with those of blocks and of what is included in the place of these."""
    flat = NodeList()
    for node in nodes:
        for piece in _pieces(node, blocks, words):
            if isinstance(piece, TextNode) and flat and isinstance(flat[-1], TextNode):
                flat[-1] = TextNode(flat[-1].s + piece.s)
            else:
                flat.append(piece)
    return flat


def _pieces(node: Node, blocks: Blocks, words: Template) -> list[Node]:
    if isinstance(node, _SILENT):
        return []
    if isinstance(node, BlockNode):
        return list(_flat(blocks.get(node.name, node).nodelist, blocks, words))
    if isinstance(node, VariableNode) and (names := _names(node.filter_expression)):
        return [_Text(node, names)]
    if isinstance(node, VariableNode) and (names_and_form := _names_and_form(node.filter_expression)):
        return [_Date(node, *names_and_form)]
    if isinstance(node, IncludeNode) and isinstance(node.template.var, str) and not node.extra_context:
        return list(_flat(words.engine.get_template(node.template.var).nodelist, blocks, words))
    piece = copy.copy(node)
    if isinstance(piece, IfNode):  # its `nodelist` is a copy of these
        piece.conditions_nodelists = [
            (_condition(condition), _flat(inner, blocks, words))
            for condition, inner in piece.conditions_nodelists
        ]
        return [piece]
    for name in node.child_nodelists:
        if (inner := getattr(node, name, None)) is not None:
            setattr(piece, name, _flat(inner, blocks, words))
    if isinstance(piece, FilterNode) and all(isinstance(inner, TextNode) for inner in piece.nodelist):
        return [TextNode(piece.render(Context()))]
    return [piece]


def _condition(condition: Any) -> Any:
    names = _names(condition.value) if isinstance(condition, TemplateLiteral) else None
    return _Condition(condition, names) if names else condition
