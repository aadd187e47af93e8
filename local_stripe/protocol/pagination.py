"""Lists: newest first, filtered by time, cut into pages (API reference, "Pagination")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local_stripe.protocol.errors import invalid, resource_missing
from local_stripe.protocol.expansion import expand_reader, expanded
from local_stripe.protocol.params import Reader, integer, mapping, text
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import State

DEFAULT_LIMIT = 10
MAX_LIMIT = 100

_BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda created, bound: created > bound,
    "gte": lambda created, bound: created >= bound,
    "lt": lambda created, bound: created < bound,
    "lte": lambda created, bound: created <= bound,
}


def _limit(name: str, raw: Any) -> int:
    number: int = integer()(name, raw)
    if not 1 <= number <= MAX_LIMIT:
        raise invalid(
            f"This value must be between 1 and {MAX_LIMIT}, inclusive.", name, "parameter_invalid_integer"
        )
    return number


def _created(name: str, raw: Any) -> JsonDict:
    if isinstance(raw, str):
        moment = integer()(name, raw)
        return {"gte": moment, "lte": moment}
    bounds: JsonDict = mapping({bound: integer() for bound in _BOUNDS})(name, raw)
    return bounds


READERS: dict[str, Reader] = {
    "created": _created,
    "ending_before": text(),
    "expand": expand_reader,
    "limit": _limit,
    "starting_after": text(),
}


def page(state: State, kind: str, params: JsonDict, predicate: Callable[[JsonDict], bool]) -> JsonDict:
    """One page of the objects of a kind for which ``predicate`` holds.

    ``params`` are values read with READERS: ``created``, ``limit`` and one of the cursors. Raises StripeError
    (400) for both cursors, or a cursor that names no object.
    """
    if "starting_after" in params and "ending_before" in params:
        raise invalid(
            "You may only specify one of these parameters: ending_before, starting_after.", "ending_before"
        )
    everything = state.of_kind(kind)
    for cursor in ("starting_after", "ending_before"):
        if cursor in params and params[cursor] not in everything:
            raise resource_missing(kind, params[cursor], cursor)
    # The newest first; of those of one second, the one that was added last. What was imported may be older.
    rows = sorted(everything.values(), key=lambda row: int(row["created"]))[::-1]
    limit = params.get("limit", DEFAULT_LIMIT)
    ids = [row["id"] for row in rows]
    backwards = "ending_before" in params
    if "starting_after" in params:
        rows = rows[ids.index(params["starting_after"]) + 1 :]
    if backwards:
        rows = rows[: ids.index(params["ending_before"])]
    rows = [row for row in rows if _in_time(row["created"], params.get("created", {})) and predicate(row)]
    has_more = len(rows) > limit
    list_object: JsonDict = {
        "object": "list",
        "data": rows[-limit:] if backwards else rows[:limit],
        "has_more": has_more,
        "url": f"/v1/{kind}s",
    }
    return expanded(state, list_object, params)


def of_payment(obj: JsonDict, params: JsonDict) -> bool:
    """Whether ``obj`` belongs to the ``payment_intent`` and the ``charge`` in ``params``, if present."""
    return all(obj[name] == params[name] for name in ("charge", "payment_intent") if name in params)


def _in_time(created: int, bounds: dict[str, int]) -> bool:
    return all(_BOUNDS[name](created, bound) for name, bound in bounds.items())
