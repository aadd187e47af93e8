"""Stripe's form encoding: ``a[b][c]=1`` is ``{"a": {"b": {"c": "1"}}}``; ``a[]=x`` and ``a[0]=x`` are lists.

Lists are returned as mappings with digits for keys; only the reader of a parameter (``params.array``) knows
whether a list was meant.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from local_stripe.protocol.errors import invalid
from local_stripe.runtime.json_types import JsonDict

MAX_FIELDS = 1000
MAX_DEPTH = 6
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_SUBSCRIPT = re.compile(r"\[([^\[\]]*)\]")


def parse(encoded: bytes | str) -> JsonDict:
    """A form or a query string as nested mappings of strings.

    Raises StripeError (400) for what is not UTF-8, has too many fields, or contradicts itself.
    """
    try:
        text = encoded.decode("utf-8") if isinstance(encoded, bytes) else encoded
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise invalid("Invalid request: the parameters could not be decoded as a UTF-8 form.") from error
    tree: JsonDict = {}
    for name, value in pairs:
        _place(tree, name, value)
    return tree


def merge(query: JsonDict, body: JsonDict) -> JsonDict:
    """Both sets of parameters; the body wins."""
    return {**query, **body}


def _place(tree: JsonDict, name: str, value: str) -> None:
    match = _NAME.fullmatch(name)
    if match is None:
        raise invalid(f"Invalid parameter name: {name[:100]}")
    path = [match[1], *_SUBSCRIPT.findall(match[2])]
    if len(path) > MAX_DEPTH:
        raise invalid(f"Parameter nested too deeply: {name[:100]}")
    node = tree
    for step in path[:-1]:
        child = node.setdefault(_key(node, step), {})
        if not isinstance(child, dict):
            raise invalid(f"Invalid object: {name[:100]}", path[0])
        node = child
    last = _key(node, path[-1])
    if isinstance(node.get(last), dict):
        raise invalid(f"Invalid object: {name[:100]}", path[0])
    node[last] = value


def _key(node: JsonDict, step: str) -> str:
    return step or str(len(node))
