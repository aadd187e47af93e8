"""Stripe's words on one side, ours on the other. The only module that speaks to Stripe, by way of `stripe_http.py`.

Minor units, client secrets and Stripe's exceptions do not leave it. No database here.
"""

import functools
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final, TypeVar
from uuid import UUID

import stripe
from django.conf import settings

from . import stripe_amounts, stripe_wording
from .call_slots import CallSlots, Pause
from .errors import (
    AmountTooLarge,
    AmountTooSmall,
    CallSlotsTaken,
    CallsPaused,
    PaymentProviderUnavailable,
    RateLimited,
)
from .event_signatures import verified_body
from .metrics import measured_call
from .stripe_http import RETRIES, TIMEOUTS, DirectCalls, PooledClient
from .stripe_objects import Dispute as Dispute
from .stripe_objects import Event as Event
from .stripe_objects import Intent as Intent
from .stripe_objects import NotAtStripe as NotAtStripe
from .stripe_objects import Refund as Refund
from .stripe_objects import id_of, to_dispute, to_intent, to_refund

log = logging.getLogger(__name__)

Ours = TypeVar("Ours")
Calling = Callable[[Callable[[], Any]], Any]

stripe.enable_telemetry = False

CALLS_AT_ONCE: Final[int] = settings.STRIPE_CALLS_AT_ONCE
SLOT_WAIT: Final = 0.5  # seconds for which a call waits for a slot
CLOCK_TOLERANCE: Final = 300  # seconds by which Stripe's clock and ours may differ

_slots, pause = CallSlots(CALLS_AT_ONCE), Pause()
_IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,254}")


class ErrorKept(PaymentProviderUnavailable):
    """Stripe keeps an error under our idempotency key, and repeats it for a day. It may have had an effect.

    To retry, look first for the object, and where it is not there use a new key (the next `attempt`),
    stored before the call.
    """


class RefundRefused(Exception):
    """Stripe will not give this money back, and says why by a code such as `charge_already_refunded`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def check_price(unit_price: Decimal, quantity: int, currency: str) -> None:
    """Raises AmountTooSmall, AmountTooLarge or CurrencyNotSupported for what Stripe would refuse."""
    stripe_amounts.check_precision(unit_price, currency)
    stripe_amounts.to_minor(unit_price * quantity, currency)


def create_intent(
    *, amount: Decimal, currency: str, order_id: UUID, quantity: int, item: str, attempt: int = 1
) -> Intent:
    """Ask Stripe for a payment intent of this amount, for so many of an item; the same order and attempt give the same.

    They are the idempotency key ("Idempotent requests": kept for at least 24 hours), and `order_id` stands in the
    metadata. Raises PaymentProviderUnavailable (ErrorKept: the next attempt is due), AmountTooSmall, AmountTooLarge
    or CurrencyNotSupported.
    """
    params: stripe.params.PaymentIntentCreateParams = {
        "amount": stripe_amounts.to_minor(amount, currency),
        "currency": currency.lower(),
        "allowed_payment_method_types": ["card"],
        "metadata": {"order_id": str(order_id), "installation": settings.INSTALLATION},
        "description": stripe_wording.description(quantity=quantity, item=item),
    }
    if suffix := stripe_wording.statement_suffix(item):
        params["statement_descriptor_suffix"] = suffix
    try:
        with _conversation():
            key = _key(f"order-{order_id}-create", attempt)
            return to_intent(_call("post", "/v1/payment_intents", {**params}, key))
    except NotAtStripe as error:  # what was just created can't be missing: an answer that makes no sense
        raise PaymentProviderUnavailable from error


def fetch_intent(intent_id: str, *, all_refunds: bool = False, all_disputes: bool = False) -> Intent:
    """The intent as it is at Stripe now, with its refunds and disputes.

    These are requested only where its charge says that there are any. `all_refunds` and `all_disputes` request
    them always: a charge does not count refunds that failed or were canceled. Raises NotAtStripe or
    PaymentProviderUnavailable.
    """
    _check_identifier(intent_id)
    with _conversation():
        stripe_intent = _call("get", f"/v1/payment_intents/{intent_id}", {"expand": ["latest_charge"]})
        intent = to_intent(stripe_intent)
        if not intent.succeeded:
            return intent
        # Not expanded (null, or only an id), it says nothing, and both are requested.
        charge = getattr(stripe_intent, "latest_charge", None)
        silent = charge is None or isinstance(charge, str)
        refunds: list[Refund] = []
        disputes: list[Dispute] = []
        if all_refunds or silent or getattr(charge, "amount_refunded", None):
            refunds = _refunds_of(intent_id)
        if all_disputes or silent or getattr(charge, "disputed", None):
            disputes = _disputes_of(intent_id)
        return replace(intent, refunds=tuple(refunds), disputes=tuple(disputes))


def cancel_intent(intent_id: str) -> None:
    """Cancel an intent, so that nobody can pay it any more.

    One that was paid or canceled meanwhile is left so (Stripe: payment_intent_unexpected_state): fetch it. Raises
    NotAtStripe or PaymentProviderUnavailable.
    """
    _check_identifier(intent_id)
    with _conversation():
        try:
            _client().v1.payment_intents.cancel(intent_id)
        except stripe.InvalidRequestError as error:
            if error.code != "payment_intent_unexpected_state":
                raise


def intents_created(since: datetime, until: datetime, calling: Calling) -> Iterator[Intent]:
    """Stripe's list of the intents created between two aware times, both included, page by page.

    `calling` makes the call for each page, and may make it again. Raises PaymentProviderUnavailable.
    """
    return _listed(lambda page: _client().v1.payment_intents.list(page), to_intent, since, until, calling)


def refunds_created(since: datetime, until: datetime, calling: Calling) -> Iterator[Refund]:
    """The same for refunds."""
    return _listed(lambda page: _client().v1.refunds.list(page), to_refund, since, until, calling)


def disputes_created(since: datetime, until: datetime, calling: Calling) -> Iterator[Dispute]:
    """The same for disputes."""
    return _listed(lambda page: _client().v1.disputes.list(page), to_dispute, since, until, calling)


def find_intent(*, order_id: UUID, since: datetime) -> Intent | None:
    """The intent created for an order after `since` (aware), where its id was not recorded; None if there is none.

    Looks through Stripe's list of that hour, not its search, which lags behind. Raises
    PaymentProviderUnavailable.
    """
    first = int(since.timestamp()) - CLOCK_TOLERANCE
    span: stripe.params.PaymentIntentListParams = {
        "created": {"gte": first, "lte": first + 3600},
        "limit": 100,
    }
    with _conversation():
        for stripe_intent in _client().v1.payment_intents.list(span).auto_paging_iter():
            if str(getattr(getattr(stripe_intent, "metadata", None), "order_id", "") or "") == str(order_id):
                try:
                    return to_intent(stripe_intent)
                except NotAtStripe:
                    return None
    return None


def create_refund(
    *, intent_id: str, amount: Decimal, currency: str, reference: UUID, attempt: int = 1
) -> Refund:
    """Ask Stripe to give this much of a payment back; with the same reference and attempt, it does so once.

    Raises RefundRefused when Stripe says no for good, or PaymentProviderUnavailable when it is not known
    whether it did: ask again, within 24 hours (Stripe's docs, "Idempotent requests"); after ErrorKept the next attempt.
    """
    params: stripe.params.RefundCreateParams = {
        "payment_intent": intent_id,
        "amount": stripe_amounts.minor_of(amount, currency),
        "metadata": {"refund_id": str(reference)},
    }
    with _conversation():
        try:
            stripe_refund = _client().v1.refunds.create(
                params, {"idempotency_key": _key(f"refund-{reference}", attempt)}
            )
        except stripe.InvalidRequestError as error:
            log.warning("Stripe refused a refund: code %s, request %s", error.code, error.request_id)
            raise RefundRefused(error.code or "refused") from error
        try:
            return to_refund(stripe_refund)
        except NotAtStripe as error:  # what was just created can't be missing
            raise PaymentProviderUnavailable from error


def fetch_refund(refund_id: str) -> Refund:
    """The refund as it is at Stripe now. Raises NotAtStripe or PaymentProviderUnavailable."""
    _check_identifier(refund_id)
    with _conversation():
        return to_refund(_client().v1.refunds.retrieve(refund_id))


def refunds_of(intent_id: str) -> list[Refund]:
    """Every refund of a payment, the oldest first. Raises NotAtStripe or PaymentProviderUnavailable."""
    _check_identifier(intent_id)
    with _conversation():
        return _refunds_of(intent_id)


def fetch_dispute(dispute_id: str) -> Dispute:
    """The dispute as it is at Stripe now. Raises NotAtStripe or PaymentProviderUnavailable."""
    _check_identifier(dispute_id)
    with _conversation():
        return to_dispute(_client().v1.disputes.retrieve(dispute_id))


def intent_id_of_charge(charge_id: str) -> str:
    """The payment intent that a charge belongs to. Raises NotAtStripe or PaymentProviderUnavailable."""
    _check_identifier(charge_id)
    with _conversation():
        return id_of(getattr(_client().v1.charges.retrieve(charge_id), "payment_intent", None))


def read_event(read_body: Callable[[], bytes], signature: str) -> Event | None:
    """The event in a webhook's raw body; None for one that is signed and names no object that could be looked up.

    An account may do other business too, with ids of its own making ("SUMMER-25", "plan/gold") and thin (v2) events,
    and Stripe turns off an endpoint that refuses these. Raises SignatureInvalid unless one of our secrets signed the
    body just now; without a signature of just now the body is not even read.
    """
    body = verified_body(read_body, signature)
    try:
        payload = json.loads(body.decode())
        event = Event(id=payload["id"], type=payload["type"], object_id=payload["data"]["object"]["id"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not all(isinstance(word, str) for word in (event.id, event.type, event.object_id)):
        return None
    storable = 0 < len(event.id) <= 255 and event.id.isprintable()  # no NUL, no half of a surrogate pair
    return event if storable and _IDENTIFIER.fullmatch(event.object_id) else None


@contextmanager
def _conversation() -> Iterator[None]:
    """A slot among the calls in flight, none while Stripe wants no calls; Stripe's errors become ours."""
    with measured_call():
        if left := pause.left():
            raise CallsPaused(retry_after=left)
        with _slots.slot(timeout=SLOT_WAIT) as free:
            if not free:
                log.warning("Stripe: no slot for a call: all %s are taken, or the user's own", CALLS_AT_ONCE)
                raise CallSlotsTaken
            try:
                yield
            except stripe.InvalidRequestError as error:
                raise _refusal(error)() from error
            except stripe.RateLimitError as error:
                raise _rate_limited(error) from error
            except stripe.StripeError as error:
                log.error("Stripe: %s, request %s", type(error).__name__, error.request_id)
                raise (ErrorKept if _is_kept(error) else PaymentProviderUnavailable) from error


def _rate_limited(error: stripe.RateLimitError) -> RateLimited:
    """Stripe's 429. Without Retry-After, as where another call has the object locked, nobody else has to wait."""
    seconds = str((error.headers or {}).get("retry-after") or "")
    log.warning(
        "Stripe: too many calls, come back after %.10s s, request %s", seconds or "?", error.request_id
    )
    if not seconds.isdecimal():
        return RateLimited(retry_after=RateLimited.retry_after)
    number = int(seconds[:9])  # Python refuses to read thousands of digits
    pause.begin(number)
    return RateLimited(retry_after=min(max(1, number), Pause.LONGEST))


def _key(name: str, attempt: int) -> str:
    return name if attempt == 1 else f"{name}-{attempt}"


def _is_kept(error: stripe.StripeError) -> bool:
    """Whether the key is spent: by a fault of Stripe's that it has answered before, or by a request in other words.

    A first 500 may come from a proxy of theirs while the request still runs; a repeated one has ended. Other words
    come from a version before or after this one, or from another setting; a 409 is a request that still runs.
    """
    if isinstance(error, stripe.IdempotencyError):
        return error.http_status == 400
    repeated = (error.headers or {}).get("idempotent-replayed") == "true"
    return repeated and (error.http_status or 0) >= 500


def _refusal(error: stripe.InvalidRequestError) -> Callable[[], Exception]:
    known: dict[str | None, Callable[[], Exception]] = {
        "resource_missing": NotAtStripe,
        "amount_too_small": AmountTooSmall,
        "amount_too_large": AmountTooLarge,
    }
    if error.code in known:
        return known[error.code]
    log.error("Stripe refused request %s: code %s, parameter %s", error.request_id, error.code, error.param)
    return PaymentProviderUnavailable


def _refunds_of(intent_id: str) -> list[Refund]:
    page = _client().v1.refunds.list({"payment_intent": intent_id, "limit": 100})
    return [to_refund(stripe_refund) for stripe_refund in page.auto_paging_iter()][::-1]


def _disputes_of(intent_id: str) -> list[Dispute]:
    page = _client().v1.disputes.list({"payment_intent": intent_id, "limit": 100})
    return [to_dispute(stripe_dispute) for stripe_dispute in page.auto_paging_iter()]


def _listed(
    list_page: Callable[[Any], Any],
    read: Callable[[Any], Ours],
    since: datetime,
    until: datetime,
    calling: Calling,
) -> Iterator[Ours]:
    """What of a list of Stripe's could be ours. A slot among the calls is taken for a page, not between pages."""
    params: dict[str, Any] = {
        "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
        "limit": 100,
    }

    def page() -> Any:
        with _conversation():
            return list_page(params)

    more = True
    while more:
        answer = calling(page)
        for stripe_object in answer.data:
            with suppress(NotAtStripe):
                yield read(stripe_object)
        more = bool(answer.has_more and answer.data)
        if more:
            params["starting_after"] = answer.data[-1].id


def _check_identifier(text: str) -> None:
    if not _IDENTIFIER.fullmatch(text):
        raise NotAtStripe


def _client() -> stripe.StripeClient:
    return _clients()[0]


def _clients() -> tuple[stripe.StripeClient, DirectCalls]:
    return _client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, os.getpid())


@functools.lru_cache(maxsize=4)
def _client_for(key: str, base: str, pid: int) -> tuple[stripe.StripeClient, DirectCalls]:
    """One client for a process: its connections must not be shared across a fork."""
    http = PooledClient(base, timeouts=TIMEOUTS, connections=CALLS_AT_ONCE)
    client = stripe.StripeClient(
        key, base_addresses={"api": base}, max_network_retries=RETRIES, http_client=http
    )
    return client, DirectCalls(client, http, base)


def _call(method: str, path: str, params: Mapping[str, Any], idempotency_key: str = "") -> Any:
    """What Stripe answers to one of the calls that buyers wait for, with attributes for members.

    The library's own objects have the same ones, and to build them takes longer than the call.
    """
    body = _clients()[1].send(method, path, params, idempotency_key)
    try:
        return json.loads(body, object_hook=lambda members: SimpleNamespace(**members))
    except ValueError:
        raise stripe.APIError("An answer that is no JSON", body) from None
