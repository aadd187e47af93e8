"""Disputes: ``/v1/disputes``, and a dispute's later states (docs, "Disputes").

A chargeback takes the money at once and gives it back when it is won. An inquiry takes nothing; it is closed,
or escalates to a chargeback.
"""

from __future__ import annotations

from functools import partial

from local_stripe.protocol import pagination
from local_stripe.protocol.errors import StripeError, invalid, resource_missing
from local_stripe.protocol.expansion import expand_reader, expanded
from local_stripe.protocol.params import (
    Reader,
    boolean,
    clearable,
    mapping,
    merged_metadata,
    metadata,
    read,
    text,
    unmodelled,
)
from local_stripe.protocol.routing import Route
from local_stripe.resources import balance_transactions, refunds
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import INTERNAL_REQUEST, Request, State, new_id, now

FEE = 1500
DAY = 86400
REASONS = (
    "bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated",
    "debit_not_authorized", "duplicate", "fraudulent", "general", "incorrect_account_details",
    "insufficient_funds", "noncompliant", "product_not_received", "product_unacceptable",
    "subscription_canceled", "unrecognized",
)  # fmt: skip
OUTCOMES = ("won", "lost", "warning_closed")
CLOSED = (*OUTCOMES, "prevented")
UNDER_REVIEW = ("under_review", "warning_under_review")
OPEN = ("needs_response", "warning_needs_response", *UNDER_REVIEW)
_NETWORK_REASONS = {"fraudulent": "10.4", "product_not_received": "13.1"}

_TEXTS = (
    "access_activity_log", "billing_address", "cancellation_policy_disclosure", "cancellation_rebuttal",
    "customer_email_address", "customer_name", "customer_purchase_ip", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "refund_policy_disclosure", "refund_refusal_explanation",
    "service_date", "shipping_address", "shipping_carrier", "shipping_date", "shipping_tracking_number",
    "uncategorized_text",
)  # fmt: skip
_FILES = (
    "cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation",
    "receipt", "refund_policy", "service_documentation", "shipping_documentation", "uncategorized_file",
)  # fmt: skip
_EVIDENCE = mapping(
    {
        **{name: clearable(text(20_000)) for name in _TEXTS},
        **dict.fromkeys((*_FILES, "appeal", "enhanced_evidence"), unmodelled),
    }
)
UPDATE: dict[str, Reader] = {
    "evidence": _EVIDENCE,
    "expand": expand_reader,
    "metadata": metadata,
    "submit": boolean,
    "intended_submission_method": unmodelled,
}


def retrieve(state: State, request: Request, id: str) -> JsonDict:
    """``GET /v1/disputes/ID``."""
    params = read(request.params, {"expand": expand_reader})
    return expanded(state, _find(state, id), params)


def list_disputes(state: State, request: Request) -> JsonDict:
    """``GET /v1/disputes``, newest first; ``payment_intent`` and ``charge`` narrow."""
    own: dict[str, Reader] = {"charge": text(), "payment_intent": text()}
    params = read(request.params, {**pagination.READERS, **own})
    return pagination.page(state, "dispute", params, lambda dispute: pagination.of_payment(dispute, params))


def update(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/disputes/ID``: metadata, and evidence, which goes to the bank unless ``submit`` is false.

    In ``uncategorized_text``, "winning_evidence", "losing_evidence" and "escalate_inquiry_evidence" decide, a
    while later (docs, "Testing", disputes); other evidence is under review until somebody closes the dispute.
    """
    params = read(request.params, UPDATE)
    # Refuse before the dispute changes.
    dispute = _find(state, id)
    _check_open(dispute)
    expanded(state, dispute, params)
    # Store metadata and evidence.
    if "metadata" in params:
        dispute["metadata"] = merged_metadata(dispute["metadata"], params["metadata"])
    details = dispute["evidence_details"]
    if "evidence" in params:
        dispute["evidence"].update(params["evidence"])
        details["has_evidence"] = True
    # Submit the evidence; the test mode decides later.
    if params.get("submit", "evidence" in params):
        details["submission_count"] += 1
        details["submission_method"] = "manual"
        dispute["status"] = "warning_under_review" if is_inquiry(dispute) else "under_review"
        state.later(partial(_decide, state, dispute))
    _tell(state, request, dispute, "updated")
    return expanded(state, dispute, params)


def close(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/disputes/ID/close``: accept the dispute, which loses it."""
    params = read(request.params, {"expand": expand_reader})
    dispute = _find(state, id)
    _check_open(dispute)
    expanded(state, dispute, params)
    end(state, request, dispute, "warning_closed" if is_inquiry(dispute) else "lost")
    return expanded(state, dispute, params)


def begin(
    state: State, charge: JsonDict, amount: int | None, reason: str, *, inquiry: bool = False
) -> JsonDict:
    """Dispute a paid charge over ``amount`` (minor units; None: all that was not refunded).

    Raises StripeError (400) when nothing is left, when it is disputed already, or for more than was paid.
    """
    # Refuse a charge with an open dispute, or without anything left to dispute.
    if any(
        d["charge"] == charge["id"] and d["status"] not in CLOSED for d in state.of_kind("dispute").values()
    ):
        raise invalid(f"Charge {charge['id']} is disputed already.")
    if charge["refunded"]:
        raise invalid(f"Charge {charge['id']} is fully refunded; it can no longer be disputed.")
    # A chargeback stops refunds under way; their amount counts as not refunded.
    if not inquiry:
        _fail_pending_refunds(state, charge)
    # Without an amount, dispute all that was not refunded.
    amount = charge["amount"] - charge["amount_refunded"] if amount is None else amount
    if not 0 < amount <= charge["amount"]:
        raise invalid(f"A dispute is over 1 to {charge['amount']}, not over {amount}.", "amount")
    # Create the dispute; a chargeback also withdraws the money.
    dispute = state.add(new(charge, amount, reason, inquiry))
    charge["disputed"] = True
    if not inquiry:
        withdraw(dispute)
    state.emit("charge.dispute.created", dispute, INTERNAL_REQUEST)
    if not inquiry:
        state.emit("charge.dispute.funds_withdrawn", dispute, INTERNAL_REQUEST)
    return dispute


def escalate(state: State, dispute: JsonDict) -> None:
    """Turn an inquiry into a chargeback. Raises StripeError (400) when it is a chargeback already, or closed."""
    _check_open(dispute)
    if not is_inquiry(dispute):
        raise invalid("Only an inquiry can escalate.")
    # A chargeback stops refunds under way.
    _fail_pending_refunds(state, state.of_kind("charge")[dispute["charge"]])
    # Ask for evidence anew, with a new deadline.
    dispute["status"] = "needs_response"
    dispute["is_charge_refundable"] = False
    dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    dispute["evidence_details"].update(
        due_by=_due_by(), submission_count=0, submission_method="not_submitted"
    )
    # Withdraw the money.
    withdraw(dispute)
    _tell(state, INTERNAL_REQUEST, dispute, "updated")
    state.emit("charge.dispute.funds_withdrawn", dispute, INTERNAL_REQUEST)


def end(state: State, request: Request, dispute: JsonDict, outcome: str) -> None:
    """Close a dispute: ``won`` gives the money back, ``lost`` does not, an inquiry is ``warning_closed``.

    Raises StripeError (400) when it is closed already, or cannot have this outcome.
    """
    # Only an inquiry ends as `warning_closed`, only a chargeback is won or lost.
    _check_open(dispute)
    if is_inquiry(dispute) != (outcome == "warning_closed"):
        kind = "An inquiry" if is_inquiry(dispute) else "A chargeback"
        raise invalid(f"{kind} does not end as {outcome}.")
    dispute["status"] = outcome
    # A chargeback that is won pays back the amount and the fee.
    if outcome == "won":
        dispute["is_charge_refundable"] = True
        reinstate(dispute)
        state.emit("charge.dispute.funds_reinstated", dispute, request)
    _tell(state, request, dispute, "closed")


def is_inquiry(dispute: JsonDict) -> bool:
    """Whether it has taken no money yet."""
    return bool(dispute["payment_method_details"]["card"]["case_type"] == "inquiry")


def resume_decisions(state: State) -> None:
    """Plan the decisions that an earlier process did not come to. The caller holds the lock."""
    for dispute in state.of_kind("dispute").values():
        if dispute["status"] in UNDER_REVIEW:
            state.later(partial(_decide, state, dispute))


def _decide(state: State, dispute: JsonDict) -> None:
    """Decide by the evidence, as Stripe's test mode does, unless a caller has closed the dispute already."""
    if dispute["status"] not in UNDER_REVIEW:
        return
    words = dispute["evidence"]["uncategorized_text"]
    if words in ("winning_evidence", "losing_evidence"):
        outcome = "won" if words == "winning_evidence" else "lost"
        end(state, INTERNAL_REQUEST, dispute, "warning_closed" if is_inquiry(dispute) else outcome)
    elif words == "escalate_inquiry_evidence" and is_inquiry(dispute):
        escalate(state, dispute)


def withdraw(dispute: JsonDict) -> None:
    """Take the amount, and the fee, from the account."""
    words = f"Chargeback withdrawal for {dispute['charge']}"
    dispute["balance_transactions"].append(
        balance_transactions.adjustment(dispute, -dispute["amount"], FEE, words)
    )


def reinstate(dispute: JsonDict) -> None:
    """Give the amount back, and the fee."""
    words = f"Chargeback reversal for {dispute['charge']}"
    dispute["balance_transactions"].append(
        balance_transactions.adjustment(dispute, dispute["amount"], -FEE, words)
    )


def _fail_pending_refunds(state: State, charge: JsonDict) -> None:
    """Fail refunds under way: the chargeback takes their money."""
    for refund in state.of_kind("refund").values():
        if refund["charge"] == charge["id"] and refund["status"] in ("pending", "requires_action"):
            refunds.end(state, INTERNAL_REQUEST, refund, "failed", "charge_for_pending_refund_disputed")


def _tell(state: State, request: Request, dispute: JsonDict, what: str) -> None:
    state.emit(f"charge.dispute.{what}", dispute, request)
    state.emit("charge.updated", state.of_kind("charge")[dispute["charge"]], request)


def _check_open(dispute: JsonDict) -> None:
    if dispute["status"] in CLOSED:
        raise StripeError(400, "This dispute is already closed", stored=True)


def _due_by() -> int:
    return (now() // DAY + 9) * DAY - 1


def _find(state: State, id: str) -> JsonDict:
    dispute = state.find("dispute", id)
    if dispute is None:
        raise resource_missing("dispute", id, "dispute", in_path=True)
    return dispute


def new(charge: JsonDict, amount: int, reason: str, inquiry: bool) -> JsonDict:
    """A new dispute of a charge; it is not yet stored, and has taken no money yet."""
    network_reason = "10" if inquiry else _NETWORK_REASONS.get(reason)
    brand = charge["payment_method_details"]["card"]["brand"]
    return {
        "id": new_id("du").replace("du_3", "du_1"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys((*_TEXTS, *_FILES)), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": _due_by(),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "network_reason_code": network_reason,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": brand,
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": brand,
                "network_reason_code": network_reason,
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


ROUTES = [
    Route("GET", r"/v1/disputes", list_disputes),
    Route("GET", r"/v1/disputes/(?P<id>[^/]+)", retrieve),
    Route("POST", r"/v1/disputes/(?P<id>[^/]+)", update),
    Route("POST", r"/v1/disputes/(?P<id>[^/]+)/close", close),
]
