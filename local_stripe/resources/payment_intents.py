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
    params = _read(request.params, CREATE, required=("amount", "currency"))
    check_amount(params["amount"], params["currency"])
    _check_methods(params)
    if not params.get("confirm"):
        _refuse_without_confirm(params)
    method = _method(state, params)
    intent = state.add(payment_intent_schema.new(params))
    if method:
        intent["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    try:
        answer = expanded(state, intent, params)
        if params.get("confirm"):
            _check_confirmable(request, intent, params)
    except StripeError:
        del state.of_kind("payment_intent")[intent["id"]]
        raise
    state.emit("payment_intent.created", intent, request)
    if params.get("confirm") and method:
        payment_attempts.start(state, request, intent, method, params)
        answer = expanded(state, intent, params)
    return answer


def retrieve(state: State, request: Request, id: str) -> JsonDict:
    """``GET /v1/payment_intents/ID``; a publishable key also needs the ``client_secret``."""
    params = read(request.params, {"client_secret": text(), "expand": expand_reader})
    return expanded(state, _find(state, request, id, params), params)


def update(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/payment_intents/ID``. The amount, currency and method change only before the payment;
    descriptive fields change always."""
    params = _read(request.params, UPDATE)
    intent = _find(state, request, id, params)
    for name in WHAT_IS_PAID:
        if name in params and intent["status"] not in UPDATABLE:
            raise unexpected_state(
                intent,
                f"This PaymentIntent's {name} could not be updated because it has a status of "
                f"{intent['status']}. You may only update the {name} of a PaymentIntent with one of the "
                f"following statuses: {', '.join(UPDATABLE)}.",
            )
    if "amount" in params or "currency" in params:
        together = {**intent, **params}
        check_amount(together["amount"], together["currency"])
    _check_methods(params)
    labels = merged_metadata(intent["metadata"], params["metadata"]) if "metadata" in params else None
    method = _method(state, params)
    expanded(state, intent, params)
    for name in ("amount", "currency", *PLAIN):
        if name in params:
            intent[name] = params[name]
    if "allowed_payment_method_types" in params:
        payment_intent_schema.allow(intent, params["allowed_payment_method_types"])
    if labels is not None:
        intent["metadata"] = labels
    if method:
        intent["payment_method"] = method["id"]
    paid_anew = method is not None or "amount" in params or "currency" in params
    if paid_anew and intent["payment_method"]:
        payment_attempts.leave_action(state, intent)
        intent["status"] = "requires_confirmation"
    return expanded(state, intent, params)


def confirm(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/payment_intents/ID/confirm``, with a secret key, or as a browser does.

    Raises StripeError: 402 card_error when declined, 400 ``payment_intent_unexpected_state`` when it is too
    late or no payment method is known.
    """
    params = _read(request.params, CONFIRM)
    intent = _find(state, request, id, params)
    # Refuse an intent whose status can no longer be confirmed.
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
    # Validate everything, also the paths of `expand`, before the intent changes.
    _check_methods(params)
    expanded(state, intent, params)
    # A payment method in the request wins over the one already attached to the intent.
    method = _method(state, params) or state.find("payment_method", intent["payment_method"])
    _check_confirmable(request, intent, {**params, "payment_method": method})
    # Store the fields of the request.
    for name in ("receipt_email", "setup_future_usage", "shipping"):
        if name in params:
            intent[name] = params[name]
    if "allowed_payment_method_types" in params:
        payment_intent_schema.allow(intent, params["allowed_payment_method_types"])
    # Attempt the payment; a decline raises here.
    if method:
        payment_attempts.start(state, request, intent, method, params)
    # Answer with the intent as the attempt left it.
    return expanded(state, intent, params)


def cancel(state: State, request: Request, id: str) -> JsonDict:
    """``POST /v1/payment_intents/ID/cancel``. Raises ``payment_intent_unexpected_state`` when too late."""
    params = read(request.params, CANCEL)
    intent = _find(state, request, id, params)
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
        )
    expanded(state, intent, params)
    payment_attempts.leave_action(state, intent)
    intent["status"] = "canceled"
    intent["canceled_at"] = now()
    intent["cancellation_reason"] = params.get("cancellation_reason")
    state.emit("payment_intent.canceled", intent, request)
    return expanded(state, intent, params)


def list_intents(state: State, request: Request) -> JsonDict:
    """``GET /v1/payment_intents``, newest first; there are no customers, so ``customer`` finds nothing."""
    params = read(request.params, {**pagination.READERS, "customer": text()})
    customer = params.get("customer")
    return pagination.page(
        state, "payment_intent", params, lambda i: customer is None or i["customer"] == customer
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


def _find(state: State, request: Request, id: str, params: JsonDict) -> JsonDict:
    intent = state.find("payment_intent", id)
    if intent is None:
        raise resource_missing("payment_intent", id, "intent", in_path=True)
    secret = params.get("client_secret")
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


def _method(state: State, params: JsonDict) -> JsonDict | None:
    if "payment_method" in params and "payment_method_data" in params:
        raise invalid(
            "You may only specify one of these parameters: payment_method, payment_method_data.",
            "payment_method_data",
        )
    if "payment_method" in params:
        return payment_methods.named(state, params["payment_method"])
    if "payment_method_data" in params:
        return payment_methods.from_data(state, params["payment_method_data"])
    return None


def _check_methods(params: JsonDict) -> None:
    if params.get("customer"):
        raise resource_missing("customer", params["customer"], "customer")
    allowed = params.get("allowed_payment_method_types")
    if allowed is not None and not payment_intent_schema.compatible(allowed):
        raise invalid(
            "No valid payment method types for this Payment Intent. Please ensure that you have activated "
            "payment methods compatible with your chosen currency in your dashboard."
        )


def _refuse_without_confirm(params: JsonDict) -> None:
    for name in ("return_url", "off_session", "error_on_requires_action"):
        if name in params:
            raise invalid(
                f"You may only specify '{name}' if you confirm the PaymentIntent (confirm=true).", name
            )


def _check_confirmable(request: Request, intent: JsonDict, params: JsonDict) -> None:
    if not (params.get("payment_method") or params.get("payment_method_data")):
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
            "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
            "directly with a payment method or ConfirmationToken.",
        )
    automatic = intent["automatic_payment_methods"] or {}
    if "allowed_payment_method_types" in params:
        automatic = {}
    may_redirect = automatic.get("enabled") and automatic.get("allow_redirects") != "never"
    answered = (
        "return_url" in params or params.get("use_stripe_sdk") or params.get("error_on_requires_action")
    )
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
