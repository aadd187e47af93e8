"""Charges: one for each attempt that reached the bank."""

from __future__ import annotations

from local_stripe.protocol import pagination
from local_stripe.protocol.errors import resource_missing
from local_stripe.protocol.expansion import expand_reader, expanded
from local_stripe.protocol.params import Reader, read, text
from local_stripe.protocol.routing import Route
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import Decline
from local_stripe.runtime.state import Request, State, new_id, now


def new(state: State, intent: JsonDict, method: JsonDict, status: str) -> JsonDict:
    """Store a charge for ``intent``, with status ``pending``, ``succeeded`` or ``failed``. Emits nothing."""
    return state.add(new_unstored(intent, method, status))


def new_unstored(intent: JsonDict, method: JsonDict, status: str) -> JsonDict:
    """The same charge, not stored yet."""
    return {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": _statement(intent),
        "captured": False,
        "created": now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            "card": {
                name: method["card"][name]
                for name in (
                    "brand",
                    "checks",
                    "country",
                    "exp_month",
                    "exp_year",
                    "funding",
                    "last4",
                    "wallet",
                )
            },
            "type": "card",
        },
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def succeed(charge: JsonDict) -> None:
    """Turn a charge into a paid one."""
    charge["status"] = "succeeded"
    charge["paid"] = charge["captured"] = True
    charge["amount_captured"] = charge["amount"]
    charge["balance_transaction"] = new_id("txn")
    charge["outcome"] = _outcome("approved_by_network", None, "Payment complete.", "authorized")


def fail(charge: JsonDict, decline: Decline) -> None:
    """Turn a charge into a declined one."""
    charge["status"] = "failed"
    charge["failure_code"] = decline.code
    charge["failure_message"] = decline.message
    reason = decline.decline_code or decline.code
    words = "The bank did not return any further details with this decline."
    charge["outcome"] = _outcome("declined_by_network", reason, words, "issuer_declined")


def retrieve(state: State, request: Request, id: str) -> JsonDict:
    """``GET /v1/charges/ID``."""
    params = read(request.params, {"expand": expand_reader})
    charge = state.find("charge", id)
    if charge is None:
        raise resource_missing("charge", id, "id", in_path=True)
    return expanded(state, charge, params)


def list_charges(state: State, request: Request) -> JsonDict:
    """``GET /v1/charges``, newest first; ``payment_intent`` narrows."""
    own: dict[str, Reader] = {"payment_intent": text()}
    params = read(request.params, {**pagination.READERS, **own})
    intent_id = params.get("payment_intent")
    return pagination.page(
        state, "charge", params, lambda c: intent_id is None or c["payment_intent"] == intent_id
    )


def _statement(intent: JsonDict) -> str:
    """What the card's statement says: the account's words, and after its prefix those of the payment."""
    if suffix := intent["statement_descriptor_suffix"]:
        return f"LOCAL* {suffix}"[:22]
    return str(intent["statement_descriptor"] or "LOCAL STRIPE")


def _outcome(network_status: str, reason: str | None, seller_message: str, type: str) -> JsonDict:
    return {
        "network_status": network_status,
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 10,
        "seller_message": seller_message,
        "type": type,
    }


ROUTES = [
    Route("GET", r"/v1/charges", list_charges),
    Route("GET", r"/v1/charges/(?P<id>[^/]+)", retrieve),
]
