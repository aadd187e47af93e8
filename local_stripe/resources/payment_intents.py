"""The endpoints of ``/v1/payment_intents`` (API reference, "PaymentIntents")."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from local_stripe.protocol import pagination
from local_stripe.protocol.currencies import check_amount
from local_stripe.protocol.errors import StripeError, invalid, missing_parameter, resource_missing
from local_stripe.protocol.expansion import expand_reader, expanded
from local_stripe.protocol.params import Reader, merged_metadata, read, text
from local_stripe.protocol.routing import Route
from local_stripe.resources import payment_attempts, payment_intent_schema, payment_methods
from local_stripe.resources.payment_intent_schema import (
    CANCEL,
    CONFIRM,
    CREATE,
    NOT_WITH_ALLOWED,
    PLAIN,
    UPDATE,
)
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import Request, State, now

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
UPDATABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
WHAT_IS_PAID = ("allowed_payment_method_types", "amount", "currency", "payment_method", "payment_method_data")


def create(state: State, request: Request) -> JsonDict:
    """``POST /v1/payment_intents``; with ``confirm=true`` also pays. Emits payment_intent.created."""
    asked = _read(request.params, CREATE, required=("amount", "currency"))
    check_amount(asked["amount"], asked["currency"])
    _check_methods(asked)
    if not asked.get("confirm"):
        _refuse_without_confirm(asked)
    method = _method(state, asked)
    intent = state.add(payment_intent_schema.new(asked))
    if method:
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    try:
        answer = expanded(state, intent, asked)
        if asked.get("confirm"):
            _check_confirmable(request, intent, asked)
    except StripeError:
        del state.of_kind("payment_intent")[intent["id"]]
        raise
    state.emit("payment_intent.created", intent, request)
    if asked.get("confirm") and method:
        payment_attempts.start(state, request, intent, method, asked)
        answer = expanded(state, intent, asked)
    return answer


def retrieve(state: State, request: Request, id: str) -> JsonDict:
    """``GET /v1/payment_intents/ID``; a publishable key also needs the ``client_secret``."""
    asked = read(request.params, {"client_secret": text(), "expand": expand_reader})
    return expanded(state, _find(state, request, id, asked), asked)


def update(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/payment_intents/ID``. What is being paid changes only before it is; words change always."""
    asked = _read(request.params, UPDATE)
    intent = _find(state, request, id, asked)
    for name in WHAT_IS_PAID:
        if name in asked and intent["status"] not in UPDATABLE:
            raise unexpected_state(
                intent,
                f"This PaymentIntent's {name} could not be updated because it has a status of "
                f"{intent['status']}. You may only update the {name} of a PaymentIntent with one of the "
                f"following statuses: {', '.join(UPDATABLE)}.",
            )
    if "amount" in asked or "currency" in asked:
        together = {**intent, **asked}
        check_amount(together["amount"], together["currency"])
    _check_methods(asked)
    labels = merged_metadata(intent["metadata"], asked["metadata"]) if "metadata" in asked else None
    method = _method(state, asked)
    expanded(state, intent, asked)
    for name in ("amount", "currency", *PLAIN):
        if name in asked:
            intent[name] = asked[name]
    if "allowed_payment_method_types" in asked:
        payment_intent_schema.allow(intent, asked["allowed_payment_method_types"])
    if labels is not None:
        intent["metadata"] = labels
    if method:
        intent["payment_method"] = method["id"]
    paid_anew = method is not None or "amount" in asked or "currency" in asked
    if paid_anew and intent["payment_method"]:
        payment_attempts.leave_action(state, intent)
        intent["status"] = "requires_confirmation"
    return expanded(state, intent, asked)


def confirm(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/payment_intents/ID/confirm``, with a secret key, or as a browser does.

    Raises StripeError: 402 card_error when declined, 400 ``payment_intent_unexpected_state`` when it is too
    late or no payment method is known.
    """
    asked = _read(request.params, CONFIRM)
    intent = _find(state, request, id, asked)
    if intent["status"] == "succeeded":
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously "
            "confirmed.",
        )
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(
            intent,
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be confirmed: requires_confirmation, "
            "requires_action.",
        )
    _check_methods(asked)
    expanded(state, intent, asked)
    method = _method(state, asked) or state.find("payment_method", intent["payment_method"])
    _check_confirmable(request, intent, {**asked, "payment_method": method})
    for name in ("receipt_email", "setup_future_usage", "shipping"):
        if name in asked:
            intent[name] = asked[name]
    if "allowed_payment_method_types" in asked:
        payment_intent_schema.allow(intent, asked["allowed_payment_method_types"])
    if method:
        payment_attempts.start(state, request, intent, method, asked)
    return expanded(state, intent, asked)


def cancel(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/payment_intents/ID/cancel``. Raises ``payment_intent_unexpected_state`` when too late."""
    asked = read(request.params, CANCEL)
    intent = _find(state, request, id, asked)
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
        )
    expanded(state, intent, asked)
    payment_attempts.leave_action(state, intent)
    intent["status"] = "canceled"
    intent["canceled_at"] = now()
    intent["cancellation_reason"] = asked.get("cancellation_reason")
    state.emit("payment_intent.canceled", intent, request)
    return expanded(state, intent, asked)


def list_intents(state: State, request: Request) -> JsonDict:
    """``GET /v1/payment_intents``, newest first; there are no customers, so ``customer`` finds nothing."""
    asked = read(request.params, {**pagination.READERS, "customer": text()})
    wanted = asked.get("customer")
    return pagination.page(
        state, "payment_intent", asked, lambda i: wanted is None or i["customer"] == wanted
    )


def unexpected_state(intent: JsonDict, message: str) -> StripeError:
    """``payment_intent_unexpected_state``, with the intent inside, as Stripe sends it."""
    code = "payment_intent_unexpected_state"
    return StripeError(400, message, code=code, stored=True, extra={"payment_intent": intent})


def _read(params: JsonDict, readers: Mapping[str, Reader], required: Sequence[str] = ()) -> JsonDict:
    """``params.read``, after a look at what excludes each other, whether it is modelled here or not."""
    for name in NOT_WITH_ALLOWED:
        if name in readers and name in params and "allowed_payment_method_types" in params:
            raise invalid(
                f"You may only specify one of these parameters: allowed_payment_method_types, {name}.", name
            )
    return read(params, readers, required)


def _find(state: State, request: Request, id: str, asked: JsonDict) -> JsonDict:
    intent = state.find("payment_intent", id)
    if intent is None:
        raise resource_missing("payment_intent", id, "intent", in_path=True)
    secret = asked.get("client_secret")
    if request.publishable and secret is None:
        raise missing_parameter("client_secret")
    if secret is not None and not hmac.compare_digest(secret.encode(), intent["client_secret"].encode()):
        raise invalid(
            "The client_secret provided does not match any associated PaymentIntent on this account. Ensure "
            "the provided client_secret is correct and the PaymentIntent exists.",
            "client_secret",
            "payment_intent_invalid_parameter",
        )
    return intent


def _method(state: State, asked: JsonDict) -> JsonDict | None:
    if "payment_method" in asked and "payment_method_data" in asked:
        raise invalid(
            "You may only specify one of these parameters: payment_method, payment_method_data.",
            "payment_method_data",
        )
    if "payment_method" in asked:
        return payment_methods.named(state, asked["payment_method"])
    if "payment_method_data" in asked:
        return payment_methods.from_data(state, asked["payment_method_data"])
    return None


def _check_methods(asked: JsonDict) -> None:
    if asked.get("customer"):
        raise resource_missing("customer", asked["customer"], "customer")
    allowed = asked.get("allowed_payment_method_types")
    if allowed is not None and not payment_intent_schema.compatible(allowed):
        raise invalid(
            "No valid payment method types for this Payment Intent. Please ensure that you have activated "
            "payment methods compatible with your chosen currency in your dashboard."
        )


def _refuse_without_confirm(asked: JsonDict) -> None:
    for name in ("return_url", "off_session", "error_on_requires_action"):
        if name in asked:
            raise invalid(
                f"You may only specify '{name}' if you confirm the PaymentIntent (confirm=true).", name
            )


def _check_confirmable(request: Request, intent: JsonDict, asked: JsonDict) -> None:
    if not (asked.get("payment_method") or asked.get("payment_method_data")):
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
            "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
            "directly with a payment method or ConfirmationToken.",
        )
    automatic = intent["automatic_payment_methods"] or {}
    if "allowed_payment_method_types" in asked:
        automatic = {}
    may_redirect = automatic.get("enabled") and automatic.get("allow_redirects") != "never"
    answered = "return_url" in asked or asked.get("use_stripe_sdk") or asked.get("error_on_requires_action")
    if may_redirect and not answered and not request.publishable:
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because "
            "some of these payment methods might redirect your customer off of your page, you must provide a "
            "`return_url`. If you don't want to accept redirect-based payment methods, set "
            "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` "
            "to `never` when creating Setup Intents and Payment Intents.",
            "return_url",
        )


ROUTES = [
    Route("POST", r"/v1/payment_intents", create),
    Route("GET", r"/v1/payment_intents", list_intents),
    Route("GET", r"/v1/payment_intents/(?P<id>[^/]+)", retrieve, publishable=True),
    Route("POST", r"/v1/payment_intents/(?P<id>[^/]+)", update),
    Route("POST", r"/v1/payment_intents/(?P<id>[^/]+)/confirm", confirm, publishable=True),
    Route("POST", r"/v1/payment_intents/(?P<id>[^/]+)/cancel", cancel),
]
