"""Refunds: ``/v1/refunds``, and a refund's later states (docs, "Refund and cancel payments").

A refund counts against its charge from its creation, also while it is pending, until it fails.
"""

from __future__ import annotations

from functools import partial

from local_stripe.protocol import pagination
from local_stripe.protocol.currencies import money
from local_stripe.protocol.errors import StripeError, invalid, resource_missing
from local_stripe.protocol.expansion import expand_reader, expanded
from local_stripe.protocol.params import (
    Reader,
    choice,
    integer,
    merged_metadata,
    metadata,
    read,
    text,
    unmodelled,
)
from local_stripe.protocol.routing import Route
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import INTERNAL_REQUEST, Request, State, new_id, now

OUTCOMES = ("succeeded", "failed", "canceled", "requires_action")
REASONS = ("duplicate", "fraudulent", "requested_by_customer")

CREATE: dict[str, Reader] = {
    "amount": integer(1),
    "charge": text(),
    "expand": expand_reader,
    "metadata": metadata,
    "payment_intent": text(),
    "reason": choice(*REASONS),
    "currency": unmodelled,
    "customer": unmodelled,
    "instructions_email": unmodelled,
    "origin": unmodelled,
    "refund_application_fee": unmodelled,
    "reverse_transfer": unmodelled,
}


def create(state: State, request: Request) -> JsonDict:
    """``POST /v1/refunds``: of a ``payment_intent`` or a ``charge``; without ``amount``, all that is left.

    Raises StripeError (400): ``charge_already_refunded``, ``charge_disputed``, or without a code for more than
    is left and for what was never paid.
    """
    params = read(request.params, CREATE)
    charge = _charge(state, params)
    labels = merged_metadata({}, params.get("metadata") or {})
    expanded(state, {"object": "refund", **_payment_of(charge)}, params)
    refund = make(state, request, charge, params.get("amount"), params.get("reason"), labels)
    return expanded(state, refund, params)


def retrieve(state: State, request: Request, id: str) -> JsonDict:
    """``GET /v1/refunds/ID``."""
    params = read(request.params, {"expand": expand_reader})
    return expanded(state, _find(state, id), params)


def update(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/refunds/ID``: only metadata changes."""
    params = read(request.params, {"expand": expand_reader, "metadata": metadata})
    refund = _find(state, id)
    expanded(state, refund, params)
    if "metadata" in params:
        refund["metadata"] = merged_metadata(refund["metadata"], params["metadata"])
        _tell(state, request, refund)
    return expanded(state, refund, params)


def cancel(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/refunds/ID/cancel``: only one that waits for the customer, as the API reference says."""
    params = read(request.params, {"expand": expand_reader})
    refund = _find(state, id)
    expanded(state, refund, params)
    if refund["status"] != "requires_action":
        raise _refused("Canceling this refund is unsupported.")
    end(state, request, refund, "canceled")
    return expanded(state, refund, params)


def list_refunds(state: State, request: Request) -> JsonDict:
    """``GET /v1/refunds``, newest first; ``payment_intent`` and ``charge`` narrow."""
    own: dict[str, Reader] = {"charge": text(), "payment_intent": text()}
    params = read(request.params, {**pagination.READERS, **own})
    return pagination.page(state, "refund", params, lambda refund: pagination.of_payment(refund, params))


def make(
    state: State,
    request: Request,
    charge: JsonDict,
    amount: int | None,
    reason: str | None,
    labels: dict[str, str],
) -> JsonDict:
    """A refund of ``amount`` (minor units; None: all that is left). Raises StripeError as ``create``."""
    # Work out what is left: neither refunded nor lost in a dispute.
    disputes = [each for each in state.of_kind("dispute").values() if each["charge"] == charge["id"]]
    lost = sum(dispute["amount"] for dispute in disputes if dispute["status"] == "lost")
    left = charge["amount"] - charge["amount_refunded"] - lost
    # Refuse a charge that is disputed, or has nothing left.
    if any(map(blocks_refunds, disputes)) or (lost and left <= 0):
        words = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise _refused(words, code="charge_disputed")
    if not left:
        words = f"Charge {charge['id']} has already been refunded."
        raise _refused(words, code="charge_already_refunded")
    # Without an amount refund all that is left; never refund more.
    amount = left if amount is None else amount
    if amount > left:
        what = "unrefunded amount on charge" if charge["amount_refunded"] or lost else "charge amount"
        most, requested = money(left, charge["currency"]), money(amount, charge["currency"])
        raise _refused(f"Refund amount ({requested}) is greater than {what} ({most})", param="amount")
    # Create the refund; the test card decides its first status.
    card = state.cards[charge["payment_method"]]
    refund = state.add(new(charge, amount, card.refund or "succeeded", reason, labels))
    # Count it against the charge, also while it is pending.
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    if reason == "fraudulent":
        charge["fraud_details"] = {"user_report": "fraudulent"}
    state.emit("refund.created", refund, request)
    state.emit("charge.refunded", charge, request)
    # Some test cards move the refund to another status later.
    if card.refund:
        state.later(partial(_second_step, state, refund))
    return refund


def end(
    state: State, request: Request, refund: JsonDict, outcome: str, reason: str = "expired_or_canceled_card"
) -> None:
    """Bring a refund to ``outcome``, one of OUTCOMES. ``reason`` is that of a failure.

    Raises StripeError (400) when the refund is already there, has failed or was canceled.
    """
    # Refuse a refund that has ended, or that already has this status.
    if refund["status"] in ("failed", "canceled", outcome):
        raise invalid(f"There is nothing to settle: the refund is {refund['status']}.")
    # Set the status; the reason for pending goes with the old one.
    charge = state.of_kind("charge")[refund["charge"]]
    refund["status"] = outcome
    if outcome != "pending":
        refund.pop("pending_reason", None)
    # A refund that failed or was canceled no longer counts against its charge.
    if outcome in ("failed", "canceled"):
        refund["failure_reason"] = reason if outcome == "failed" else "merchant_request"
        refund["failure_balance_transaction"] = new_id("txn")
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
    _tell(state, request, refund)
    if outcome == "failed":
        state.emit("refund.failed", refund, request)


def blocks_refunds(dispute: JsonDict) -> bool:
    """Whether nothing of the charge can be refunded because of this dispute.

    One that was lost over a part keeps its amount alone. Stripe's documentation leaves that open.
    """
    return not dispute["is_charge_refundable"] and dispute["status"] != "lost"


def resume_second_steps(state: State) -> None:
    """Plan the second steps that an earlier process did not come to. The caller holds the lock."""
    for refund in state.of_kind("refund").values():
        if refund["status"] == state.cards[refund["payment_method"]].refund:
            state.later(partial(_second_step, state, refund))


def _second_step(state: State, refund: JsonDict) -> None:
    """Move a test card's refund to its second status, unless a caller has moved it already."""
    if refund["status"] == "pending":
        end(state, INTERNAL_REQUEST, refund, "succeeded")
    elif refund["status"] == "succeeded":
        end(state, INTERNAL_REQUEST, refund, "failed")


def _tell(state: State, request: Request, refund: JsonDict) -> None:
    for type in ("refund.updated", "charge.refund.updated"):
        state.emit(type, refund, request)


def _payment_of(charge: JsonDict) -> JsonDict:
    return {"charge": charge["id"], "payment_intent": charge["payment_intent"]}


def new(charge: JsonDict, amount: int, status: str, reason: str | None, labels: dict[str, str]) -> JsonDict:
    """A new refund; it is not yet stored, nor counted against its charge."""
    refund: JsonDict = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn"),
        **_payment_of(charge),
        "created": now(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": labels,
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    if status == "pending":
        refund["pending_reason"] = "processing"
    return refund


def _charge(state: State, params: JsonDict) -> JsonDict:
    """The paid charge to refund. Raises StripeError: 404 for an unknown id, 400 for what was never paid."""
    if "charge" not in params and "payment_intent" not in params:
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or charge."
        )
    if "charge" in params and "payment_intent" in params:
        raise invalid("You may only specify one of these parameters: charge, payment_intent.", "charge")
    if "charge" in params:
        charge = state.find("charge", params["charge"])
        if charge is None:
            raise resource_missing("charge", params["charge"], "id", in_path=True)
        return _paid(charge, charge["payment_intent"])
    intent = state.find("payment_intent", params["payment_intent"])
    if intent is None:
        raise resource_missing("payment_intent", params["payment_intent"], "payment_intent", in_path=True)
    return paid_charge(state, intent)


def paid_charge(state: State, intent: JsonDict) -> JsonDict:
    """The charge that paid an intent. Raises StripeError (400) when none did."""
    return _paid(state.find("charge", intent["latest_charge"]), intent["id"])


def _paid(charge: JsonDict | None, intent: str) -> JsonDict:
    if charge is None or charge["status"] != "succeeded":
        raise _refused(f"This PaymentIntent ({intent}) does not have a successful charge to refund.")
    return charge


def _find(state: State, id: str) -> JsonDict:
    refund = state.find("refund", id)
    if refund is None:
        raise resource_missing("refund", id, "refund", in_path=True)
    return refund


def _refused(message: str, code: str | None = None, param: str | None = None) -> StripeError:
    """An error after execution began; stored under the idempotency key."""
    return StripeError(400, message, code=code, param=param, stored=True)


ROUTES = [
    Route("POST", r"/v1/refunds", create),
    Route("GET", r"/v1/refunds", list_refunds),
    Route("GET", r"/v1/refunds/(?P<id>[^/]+)", retrieve),
    Route("POST", r"/v1/refunds/(?P<id>[^/]+)", update),
    Route("POST", r"/v1/refunds/(?P<id>[^/]+)/cancel", cancel),
]
