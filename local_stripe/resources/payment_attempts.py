"""One attempt to pay a PaymentIntent, from the confirmation to its end (docs, "How PaymentIntents work").

These functions change the objects and emit the events; the caller holds the lock.
"""

from __future__ import annotations

from contextlib import suppress

from local_stripe.protocol.errors import StripeError, doc_url, invalid
from local_stripe.resources import cards, charges, disputes
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import Decline
from local_stripe.runtime.state import Request, State, random_text

AUTHENTICATION_FAILED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
    "PaymentMethod to attempt to fulfill this PaymentIntent again."
)


def start(state: State, request: Request, intent: JsonDict, method: JsonDict, params: JsonDict) -> None:
    """Confirm ``intent`` with ``method``: ends as succeeded, processing or requires_action, or raises.

    ``params`` may hold ``return_url``, ``use_stripe_sdk``, ``off_session`` and ``error_on_requires_action``.
    Raises StripeError (402 card_error) when the card is declined; the intent is then payable again.
    """
    # Clear what an earlier attempt left behind.
    leave_action(state, intent)
    intent["payment_method"] = method["id"]
    intent["last_payment_error"] = None
    # Charge a card without authentication at once; otherwise ask the customer, or decline if that is not allowed.
    if not state.cards[method["id"]].authentication:
        charge_card(state, request, intent, method)
    elif params.get("error_on_requires_action") or params.get("off_session"):
        decline(state, request, intent, method, cards.AUTHENTICATION_REQUIRED)
    else:
        require_action(state, request, intent, params)


def require_action(state: State, request: Request, intent: JsonDict, params: JsonDict) -> None:
    """Ask the customer to authenticate, on a page of the local Stripe."""
    # Remember the intent under an unguessable token, which is the page's address.
    token = random_text(32)
    page = f"{state.base_url}/_3ds/{token}"
    state.authentications[token] = intent["id"]
    # Redirect to the page, or let Stripe.js open it.
    if "return_url" in params and not params.get("use_stripe_sdk"):
        state.return_urls[token] = params["return_url"]
        intent["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": params["return_url"], "url": page},
        }
    else:
        intent["next_action"] = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page},
        }
    intent["status"] = "requires_action"
    state.emit("payment_intent.requires_action", intent, request)


def charge_card(state: State, request: Request, intent: JsonDict, method: JsonDict) -> None:
    """Charge the card now. Raises StripeError (402) when it is declined."""
    card = state.cards[method["id"]]
    # A declined card ends the attempt: `decline` raises.
    if card.decline is not None:
        decline(state, request, intent, method, card.decline)
    # A delayed payment waits for `settle`.
    if card.delayed:
        charge = charges.new(state, intent, method, "pending")
        intent["latest_charge"] = charge["id"]
        intent["status"] = "processing"
        state.emit("charge.pending", charge, request)
        state.emit("payment_intent.processing", intent, request)
        return
    _succeed(state, request, intent, charges.new(state, intent, method, "pending"))


def decline(
    state: State,
    request: Request,
    intent: JsonDict,
    method: JsonDict,
    reason: Decline,
    charge: JsonDict | None = None,
) -> None:
    """Fail the attempt: the intent asks for another payment method. Always raises StripeError (402)."""
    # Fail the charge: the pending one, or a new one.
    charge = charge or charges.new(state, intent, method, "pending")
    charges.fail(charge, reason)
    # Record the error on the intent, which needs another payment method.
    details: JsonDict = {"charge": charge["id"], "payment_method": dict(method)}
    if reason.decline_code:
        details["decline_code"] = reason.decline_code
    intent["latest_charge"] = charge["id"]
    _ask_again(intent, {**details, **_words(reason.code, reason.message, "card_error")})
    # Emit the events, then answer with the same error.
    state.emit("charge.failed", charge, request)
    state.emit("payment_intent.payment_failed", intent, request)
    raise StripeError(
        402,
        reason.message,
        type="card_error",
        code=reason.code,
        stored=True,
        extra={**details, "payment_intent": intent},
    )


def settle(state: State, request: Request, intent: JsonDict, outcome: str) -> None:
    """End a wait: of a ``processing`` intent for its money, of a ``requires_action`` one for its customer.

    ``outcome`` is ``succeeded`` or ``failed``. Raises StripeError (400) if the intent waits for neither; a
    card that is declined after its authentication ends in ``requires_payment_method`` without raising.
    """
    method = state.of_kind("payment_method").get(intent["payment_method"] or "", {})
    # The customer completed the authentication, or failed it.
    if intent["status"] == "requires_action":
        leave_action(state, intent)
        if outcome == "succeeded":
            with suppress(StripeError):  # the intent records a decline; there is no caller to answer
                charge_card(state, request, intent, method)
            return
        words = _words(
            "payment_intent_authentication_failure", AUTHENTICATION_FAILED, "invalid_request_error"
        )
        _ask_again(intent, {**words, "payment_method": dict(method)})
        state.emit("payment_intent.payment_failed", intent, request)
    # The money of a delayed payment arrived, or did not.
    elif intent["status"] == "processing":
        charge = state.of_kind("charge")[intent["latest_charge"]]
        if outcome == "succeeded":
            _succeed(state, request, intent, charge)
        else:
            with suppress(StripeError):
                decline(state, request, intent, method, cards.GENERIC, charge)
    else:
        raise invalid(f"There is nothing to settle: the PaymentIntent is {intent['status']}.")


def leave_action(state: State, intent: JsonDict) -> None:
    """Drop the action required of the customer, so that its page can no longer pay."""
    intent["next_action"] = None
    for token in [t for t, id in state.authentications.items() if id == intent["id"]]:
        del state.authentications[token]
        state.return_urls.pop(token, None)


def _succeed(state: State, request: Request, intent: JsonDict, charge: JsonDict) -> None:
    # Mark the charge and the intent as paid.
    charges.succeed(charge)
    intent["status"] = "succeeded"
    intent["amount_received"] = intent["amount"]
    intent["latest_charge"] = charge["id"]
    state.emit("charge.succeeded", charge, request)
    disputed_as = state.cards[charge["payment_method"]].dispute
    # A test card may dispute at once: at Stripe, too, the dispute's events come before the intent's.
    if disputed_as:
        reason = "general" if disputed_as == "inquiry" else disputed_as
        disputes.begin(state, charge, charge["amount"], reason, inquiry=disputed_as == "inquiry")
    state.emit("payment_intent.succeeded", intent, request)


def _ask_again(intent: JsonDict, error: JsonDict) -> None:
    intent["status"] = "requires_payment_method"
    intent["payment_method"] = None
    intent["last_payment_error"] = error


def _words(code: str, message: str, type: str) -> JsonDict:
    return {"code": code, "doc_url": doc_url(code), "message": message, "type": type}
