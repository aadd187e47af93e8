"""Which fields of an object a caller sees: those for publishable keys, and expanded references."""

from __future__ import annotations

from typing import Any

from local_stripe.protocol.errors import invalid
from local_stripe.protocol.params import array, text
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import State

expand_reader = array(text())

# "Retrievable with publishable key" in the API reference of the PaymentIntent object: no metadata, no charge.
PUBLISHABLE_FIELDS = (
    "id", "object", "allowed_payment_method_types", "amount", "amount_details", "automatic_payment_methods",
    "canceled_at", "cancellation_reason", "capture_method", "client_secret", "confirmation_method", "created",
    "currency", "description", "last_payment_error", "livemode", "next_action", "payment_method",
    "payment_method_types", "processing", "receipt_email", "setup_future_usage", "shipping", "source", "status",
)  # fmt: skip

_EXPANDABLE = {
    "payment_intent": {"latest_charge": "charge", "payment_method": "payment_method"},
    "charge": {"payment_intent": "payment_intent"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
}
_MAX_EXPANSION = 4


def visible(obj: JsonDict, *, publishable: bool) -> JsonDict:
    """``obj`` as the holder of a key sees it, also inside an error object."""
    if not publishable:
        return obj
    if obj.get("object") == "payment_intent":
        shown = {name: obj[name] for name in PUBLISHABLE_FIELDS if name in obj}
        if shown.get("last_payment_error"):
            shown["last_payment_error"] = visible(shown["last_payment_error"], publishable=True)
        return shown
    if obj.get("object") == "payment_method":
        return {name: value for name, value in obj.items() if name != "metadata"}
    hidden = ("payment_intent", "payment_method")
    return {
        name: visible(value, publishable=True) if name in hidden and isinstance(value, dict) else value
        for name, value in obj.items()
    }


def expanded(state: State, obj: JsonDict, params: JsonDict) -> JsonDict:
    """``obj`` with the references that ``params["expand"]`` names replaced by the objects (docs, "Expanding").

    Raises StripeError (400) for a path that cannot be expanded.
    """
    for path in params.get("expand", ()):
        steps = path.split(".")
        if len(steps) > _MAX_EXPANSION:
            raise invalid(
                f"You cannot expand more than {_MAX_EXPANSION} levels of a property: {path}", "expand"
            )
        obj = _expand(state, obj, steps, path)
    return obj


def _expand(state: State, obj: Any, steps: list[str], path: str) -> Any:
    if not steps or obj is None:
        return obj
    step, *rest = steps
    if obj.get("object") == "list" and step == "data":
        return {**obj, "data": [_expand(state, item, rest, path) for item in obj["data"]]}
    if obj.get("object") == "charge" and step == "refunds":
        return {**obj, step: _expand(state, obj.get(step) or _refunds(state, obj), rest, path)}
    kind = _EXPANDABLE.get(obj.get("object", ""), {}).get(step)
    if kind is None:
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    value = obj[step]
    value = state.find(kind, value) if isinstance(value, str) else value
    return {**obj, step: _expand(state, value, rest, path)}


def _refunds(state: State, charge: JsonDict) -> JsonDict:
    """A charge's refunds, newest first: a list within it, only on ``expand`` (changelog, 2022-11-15)."""
    refunds = [r for r in state.of_kind("refund").values() if r["charge"] == charge["id"]][::-1]
    url = f"/v1/charges/{charge['id']}/refunds"
    return {"object": "list", "data": refunds[:10], "has_more": len(refunds) > 10, "url": url}
