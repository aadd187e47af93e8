"""PaymentMethods: created by a browser from a card number, or one of Stripe's named test methods."""

from __future__ import annotations

from local_stripe.protocol.errors import resource_missing
from local_stripe.protocol.params import Reader, choice, clearable, integer, mapping, metadata, read, text
from local_stripe.protocol.routing import Route
from local_stripe.resources import cards
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import TestCard
from local_stripe.runtime.state import Request, State, new_id, now

ADDRESS = mapping(
    {name: clearable(text()) for name in ("city", "country", "line1", "line2", "postal_code", "state")}
)
BILLING_DETAILS = mapping(
    {
        "address": clearable(ADDRESS),
        "email": clearable(text()),
        "name": clearable(text()),
        "phone": clearable(text()),
        "tax_id": text(),
    }
)
CARD = mapping(
    {"number": text(40), "exp_month": integer(), "exp_year": integer(), "cvc": text(10)},
    required=("number", "exp_month", "exp_year"),
)
DATA_READERS: dict[str, Reader] = {
    "type": choice("card"),
    "card": CARD,
    "billing_details": BILLING_DETAILS,
    "metadata": metadata,
    "allow_redisplay": choice("always", "limited", "unspecified"),
}
PAYMENT_METHOD_DATA = mapping(DATA_READERS, required=("type", "card"))


def create(state: State, request: Request) -> JsonDict:
    """``POST /v1/payment_methods``, with a publishable or a secret key."""
    return from_data(state, read(request.params, DATA_READERS, required=("type", "card")))


def retrieve(state: State, request: Request, id: str) -> JsonDict:
    """``GET /v1/payment_methods/ID``."""
    method = state.find("payment_method", id)
    if method is None:
        raise resource_missing("PaymentMethod", id, "payment_method", in_path=True)
    return method


def from_data(state: State, data: JsonDict) -> JsonDict:
    """A new payment method of a raw test card. Raises ``incorrect_number`` and the like (402)."""
    card = cards.card_of(data["card"])
    return _add(state, card, data)


def named(state: State, name: str) -> JsonDict:
    """The payment method ``name``: an existing one, or a new one for a test name such as ``pm_card_visa``.

    Raises ``resource_missing`` (400) for any other name.
    """
    method = state.find("payment_method", name)
    if method is not None:
        return method
    if name not in cards.BY_NAME:
        raise resource_missing("PaymentMethod", name, "payment_method")
    return _add(state, cards.BY_NAME[name], {})


def _add(state: State, card: TestCard, data: JsonDict) -> JsonDict:
    raw = data.get("card", {})
    billing = data.get("billing_details", {})
    method: JsonDict = {
        "id": new_id("pm").replace("pm_3", "pm_1"),
        "object": "payment_method",
        "allow_redisplay": data.get("allow_redisplay", "unspecified"),
        "billing_details": {
            "address": {
                name: (billing.get("address") or {}).get(name)
                for name in ("city", "country", "line1", "line2", "postal_code", "state")
            },
            "email": billing.get("email"),
            "name": billing.get("name"),
            "phone": billing.get("phone"),
            "tax_id": billing.get("tax_id"),
        },
        "card": {
            "brand": card.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "unchecked" if "cvc" in raw else None,
            },
            "country": "US",
            "display_brand": card.brand,
            "exp_month": raw.get("exp_month", 12),
            "exp_year": _full_year(raw["exp_year"]) if raw else 2050,
            "fingerprint": None,
            "funding": "credit",
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": now(),
        "customer": None,
        "livemode": False,
        "metadata": data.get("metadata") or {},
        "type": "card",
    }
    state.cards[method["id"]] = card
    return state.add(method)


def _full_year(year: int) -> int:
    return year + 2000 if year < 100 else year


ROUTES = [
    Route("POST", r"/v1/payment_methods", create, publishable=True),
    Route("GET", r"/v1/payment_methods/(?P<id>[^/]+)", retrieve),
]
