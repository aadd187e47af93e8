"""The parameters and the fields of a PaymentIntent (Stripe's OpenAPI document, ``payment_intent``)."""

from __future__ import annotations

from typing import Any

from local_stripe.protocol.errors import invalid
from local_stripe.protocol.expansion import expand_reader
from local_stripe.protocol.params import (
    Reader,
    array,
    boolean,
    choice,
    clearable,
    currency,
    email,
    integer,
    mapping,
    merged_metadata,
    metadata,
    statement,
    text,
    unmodelled,
    url,
)
from local_stripe.resources import payment_methods
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import new_id, now, random_text

# The types of payment method that the account takes; cards go with every currency and amount.
COMPATIBLE = ("card",)


def _no_longer_supported(name: str, raw: Any) -> Any:
    """A parameter that Stripe has taken away (changelog, 2026-09-30.endive)."""
    raise invalid(
        f"The parameter {name} is no longer supported. Use allowed_payment_method_types, or leave the choice "
        "to the settings of your Dashboard.",
        name,
        f"{name}_no_longer_supported",
    )


_SHIPPING = mapping(
    {
        "address": payment_methods.ADDRESS,
        **{n: text() for n in ("carrier", "name", "phone", "tracking_number")},
    },
    required=("address", "name"),
)
_METHOD: dict[str, Reader] = {
    "payment_method": text(),
    "payment_method_data": payment_methods.PAYMENT_METHOD_DATA,
    "payment_method_options": unmodelled,
    "receipt_email": clearable(email),
    "setup_future_usage": choice("off_session", "on_session"),
    "shipping": clearable(_SHIPPING),
    "expand": expand_reader,
    "capture_method": choice("automatic", "automatic_async"),
    "allowed_payment_method_types": array(text()),
    "excluded_payment_method_types": unmodelled,
    "payment_method_types": _no_longer_supported,
    "amount_details": unmodelled,
    "hooks": unmodelled,
    "payment_details": unmodelled,
}
_DETAILS: dict[str, Reader] = {
    **_METHOD,
    "amount": integer(1),
    "currency": currency,
    "customer": text(),
    "description": text(1000),
    "metadata": metadata,
    "statement_descriptor": statement,
    "statement_descriptor_suffix": statement,
    "transfer_group": text(),
    "application_fee_amount": unmodelled,
    "customer_account": unmodelled,
    "payment_method_configuration": unmodelled,
    "transfer_data": unmodelled,
}
_ATTEMPT: dict[str, Reader] = {
    "error_on_requires_action": boolean,
    "off_session": boolean,
    "return_url": url,
    "use_stripe_sdk": boolean,
    "confirmation_token": unmodelled,
    "mandate": unmodelled,
    "mandate_data": unmodelled,
    "radar_options": unmodelled,
}
CREATE: dict[str, Reader] = {
    **_DETAILS,
    **_ATTEMPT,
    "automatic_payment_methods": mapping(
        {"enabled": boolean, "allow_redirects": choice("always", "never")}, required=("enabled",)
    ),
    "confirm": boolean,
    "confirmation_method": choice("automatic"),
    "on_behalf_of": unmodelled,
}
CONFIRM: dict[str, Reader] = {**_METHOD, **_ATTEMPT, "client_secret": text()}
UPDATE: dict[str, Reader] = _DETAILS
CANCEL: dict[str, Reader] = {
    "cancellation_reason": choice("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
    "expand": expand_reader,
}
# Fields an update sets directly, whatever the status.
PLAIN = (
    "capture_method",
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
# Changelog, 2026-07-29.dahlia: none of these may come along with allowed_payment_method_types.
NOT_WITH_ALLOWED = (
    "automatic_payment_methods",
    "excluded_payment_method_types",
    "payment_method_configuration",
)


def compatible(allowed: list[str]) -> list[str]:
    """Of the types allowed, those the account takes: Stripe drops the others silently."""
    return [type for type in COMPATIBLE if type in allowed]


def allow(intent: JsonDict, allowed: list[str]) -> None:
    """Let ``intent`` be paid by these types only, in place of the Dashboard's choice."""
    intent["allowed_payment_method_types"] = allowed
    intent["payment_method_types"] = compatible(allowed)
    intent["automatic_payment_methods"] = None


def new(params: JsonDict) -> JsonDict:
    """A new PaymentIntent of the values read with CREATE; it is not yet stored."""
    id = new_id("pi")
    automatic = {"allow_redirects": "always", **params.get("automatic_payment_methods", {"enabled": True})}
    intent: JsonDict = {
        "id": id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic if automatic["enabled"] else None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{id}_secret_{random_text(25)}",
        "confirmation_method": "automatic",
        "created": now(),
        "currency": params["currency"],
        "customer": None,
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": merged_metadata({}, params.get("metadata") or {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": list(COMPATIBLE),
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "review": None,
        "setup_future_usage": params.get("setup_future_usage"),
        "shipping": params.get("shipping"),
        "source": None,
        "statement_descriptor": params.get("statement_descriptor"),
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": params.get("transfer_group"),
    }
    if "allowed_payment_method_types" in params:
        allow(intent, params["allowed_payment_method_types"])
    return intent
