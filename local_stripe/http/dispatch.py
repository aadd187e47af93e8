"""From a raw HTTP call to its answer: key, faults, idempotency, endpoint, log of requests."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from urllib.parse import unquote

from local_stripe.protocol import auth, faults, forms, idempotency, routing
from local_stripe.protocol.errors import StripeError, server_error
from local_stripe.protocol.expansion import visible
from local_stripe.resources import charges, disputes, events, payment_intents, payment_methods, refunds
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import Fault
from local_stripe.runtime.state import API_VERSION, Request, State, new_id, now

logger = logging.getLogger(__name__)

ROUTES = [
    *payment_intents.ROUTES,
    *payment_methods.ROUTES,
    *charges.ROUTES,
    *refunds.ROUTES,
    *disputes.ROUTES,
    *events.ROUTES,
]

_HIDDEN = "[hidden]"


@dataclass(frozen=True)
class Call:
    """An HTTP request as received."""

    method: str
    target: str
    headers: JsonDict = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        """The query string, still encoded."""
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Answer:
    """An HTTP response to send."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Api:
    """Answers calls to ``/v1``. ``stopping`` ends the waits of faults early."""

    def __init__(self, state: State, stopping: threading.Event) -> None:
        self.state = state
        self.stopping = stopping

    def answer(self, call: Call) -> Answer | None:
        """The answer to a call; None asks to close the connection without one. Never raises."""
        path = call.path
        request = Request(call.method, path, {}, id=new_id("req"))
        record: JsonDict = {
            "method": call.method,
            "path": path,
            "params": {},
            "idempotency_key": None,
            "at": now(),
        }
        record["request_id"] = request.id
        answer: Answer | None
        fault: Fault | None = None
        try:
            with self.state.lock:
                resets = self.state.resets
                fault = faults.take(self.state, call.method, path)
            request = self._read(call, request.id)
            record["params"] = _without_secrets(request.params)
            record["idempotency_key"] = request.idempotency_key
            record["key"] = "publishable" if request.publishable else "secret"
            answer = self._run(request, fault, resets)
        except StripeError as error:
            answer = _error(request, error)
        except Exception:
            logger.exception("The local Stripe failed on %s %s", call.method, path)
            answer = _error(
                request, StripeError(500, "The local Stripe has a bug; see its log.", type="api_error")
            )
        record["status"] = answer.status if answer else None
        record["replayed"] = bool(answer and "Idempotent-Replayed" in answer.headers)
        with self.state.lock:
            if self.state.resets == resets:
                self.state.requests.append(record)
        if answer:
            version = call.headers.get("stripe-version") or API_VERSION
            answer.headers.update({"Request-Id": request.id or "", "Stripe-Version": _header(version)})
            if fault and fault.retry_after and answer.status >= 400:
                answer.headers["Retry-After"] = str(fault.retry_after)
            if request.idempotency_key:
                answer.headers["Idempotency-Key"] = _header(request.idempotency_key)
        return answer

    def _read(self, call: Call, id: str | None) -> Request:
        if call.body and "json" in call.headers.get("content-type", ""):
            raise StripeError(400, "Send parameters as application/x-www-form-urlencoded, not as JSON.")
        body = forms.parse(call.body) if call.method != "GET" else {}
        params = forms.merge(forms.parse(call.query), body)
        key = auth.key_of(call.headers.get("authorization"), params)
        idempotency_key = call.headers.get("idempotency-key") if call.method == "POST" else None
        return Request(call.method, call.path, params, key.publishable, key.scope, idempotency_key, id)

    def _run(self, request: Request, fault: Fault | None, resets: int) -> Answer | None:
        fault = fault or Fault()
        if fault.drop:
            return None
        if fault.status and not fault.stored:
            raise server_error(fault.status)
        if request.idempotency_key:
            with self.state.transaction():
                if self.state.resets != resets:
                    return None  # a reset came after this request began
                stored = idempotency.begin(self.state, request)
            if stored:
                return Answer(*stored, {"Idempotent-Replayed": "true"})
        try:
            self.stopping.wait(fault.delay)
            with self.state.transaction():
                if self.state.resets != resets:
                    return None
                answer, keep = self._effect(request, fault)
                idempotency.finish(self.state, request, (answer.status, answer.body) if keep else None)
        except Exception:
            with self.state.transaction():
                if self.state.resets == resets:
                    idempotency.finish(self.state, request, None)
            raise
        self.stopping.wait(fault.effect_then_delay)
        return None if fault.drops_after_effect else answer

    def _effect(self, request: Request, fault: Fault) -> tuple[Answer, bool]:
        """The answer, and whether the idempotency layer keeps it."""
        if fault.status:
            return _error(request, server_error(fault.status)), True
        try:
            obj = routing.answer(ROUTES, self.state, request)
            answer, keep = Answer(200, encoded(visible(obj, publishable=request.publishable))), True
        except StripeError as error:
            answer, keep = _error(request, error), error.stored
        if fault.status_after_effect:
            answer = _error(request, server_error(fault.status_after_effect))
        return answer, keep


def encoded(obj: JsonDict) -> bytes:
    """A JSON body."""
    return json.dumps(obj).encode()


def _error(request: Request, error: StripeError) -> Answer:
    body = {"error": visible(error.error_object(), publishable=request.publishable)}
    return Answer(error.status, encoded(body))


def _header(value: str) -> str:
    return "".join(char for char in value if " " <= char <= "~")[:255]


def _without_secrets(params: JsonDict) -> JsonDict:
    """Parameters for the log: without client secrets and card numbers."""
    return {
        name: _without_secrets(value)
        if isinstance(value, dict)
        else (_HIDDEN if name in ("client_secret", "number", "cvc") else value)
        for name, value in params.items()
    }
