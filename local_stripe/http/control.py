"""``/_control/``: actions for tests that the real Stripe does not offer. JSON in, JSON out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from local_stripe.emulator import Emulator
from local_stripe.http.dispatch import Answer, Call, encoded
from local_stripe.protocol.errors import StripeError
from local_stripe.runtime.json_types import JsonDict

PREFIX = "/_control/"
MAX_TIMES = 100


class BadCallError(Exception):
    """A control call that cannot be done; answered with 400."""


def answer(emulator: Emulator, call: Call) -> Answer:
    """Do one control call. A web page may not: calls with an ``Origin`` are refused."""
    if "origin" in call.headers:
        return _json(403, {"error": "The control API is not for web pages."})
    path = call.path.removeprefix(PREFIX)
    for method, pattern, handler in _ROUTES:
        match = re.fullmatch(pattern, path)
        if match is None or method != call.method:
            continue
        try:
            params = dict(parse_qsl(call.query)) if method == "GET" else _body(call)
            return _json(200, handler(emulator, params, **match.groupdict()))
        except StripeError as error:
            return _json(error.status, {"error": error.message})
        except LookupError as error:
            return _json(404, {"error": str(error.args[0] if error.args else error)})
        except (BadCallError, ValueError, TypeError, re.error) as error:
            return _json(400, {"error": str(error)})
    return _json(404, {"error": f"No such control call: {call.method} {path[:100]}"})


def _reset(emulator: Emulator, params: JsonDict) -> JsonDict:
    emulator.reset()
    return {"reset": True}


def _pause(emulator: Emulator, params: JsonDict) -> JsonDict:
    emulator.pause_webhooks()
    return {"paused": True}


def _resume(emulator: Emulator, params: JsonDict) -> JsonDict:
    return {"paused": False, "due": emulator.resume_webhooks(discard=_get(params, "discard", bool, False))}


def _wait(emulator: Emulator, params: JsonDict) -> JsonDict:
    seconds = _get(params, "timeout", (int, float), 5.0)
    if not 0 <= seconds <= 60:
        raise BadCallError("timeout is 0 to 60 seconds")
    return {"idle": emulator.wait_for_webhooks(seconds)}


def _redeliver(emulator: Emulator, params: JsonDict) -> JsonDict:
    times = _get(params, "times", int, 1)
    if not 1 <= times <= MAX_TIMES:
        raise BadCallError(f"times is 1 to {MAX_TIMES}")
    parallel = _get(params, "parallel", bool, False)
    return {"deliveries": emulator.redeliver(_get(params, "event", str), times=times, parallel=parallel)}


def _endpoint(emulator: Emulator, params: JsonDict) -> JsonDict:
    url = _get(params, "url", (str, type(None)))
    emulator.set_webhook_endpoint(url, _get(params, "secret", str, None))
    return {"url": url}


def _deliveries(emulator: Emulator, params: JsonDict) -> JsonDict:
    return {"deliveries": emulator.deliveries()}


def _requests(emulator: Emulator, params: JsonDict) -> JsonDict:
    return {"requests": emulator.requests()}


def _settle(emulator: Emulator, params: JsonDict) -> JsonDict:
    outcome = _get(params, "outcome", str)
    if "refund" in params:
        return emulator.settle_refund(_get(params, "refund", str), outcome)
    return emulator.settle(_get(params, "payment_intent", str), outcome)


def _import(emulator: Emulator, params: JsonDict) -> JsonDict:
    payments: list[JsonDict] = _get(params, "payments", list)
    if not all(isinstance(facts, dict) for facts in payments):
        raise BadCallError("payments holds objects")
    imported, known = emulator.import_payments(payments)
    return {"imported": imported, "known": known}


def _refund(emulator: Emulator, params: JsonDict) -> JsonDict:
    return emulator.refund(
        _get(params, "payment_intent", str),
        _get(params, "amount", (int, type(None)), None),
        reason=_get(params, "reason", (str, type(None)), None),
        metadata=_labels(params),
    )


def _dispute(emulator: Emulator, params: JsonDict) -> JsonDict:
    return emulator.dispute(
        _get(params, "payment_intent", str),
        _get(params, "amount", (int, type(None)), None),
        reason=_get(params, "reason", str, "fraudulent"),
        inquiry=_get(params, "inquiry", bool, False),
    )


def _close_dispute(emulator: Emulator, params: JsonDict, id: str) -> JsonDict:
    return emulator.close_dispute(id, _get(params, "outcome", str))


def _escalate_dispute(emulator: Emulator, params: JsonDict, id: str) -> JsonDict:
    return emulator.escalate_dispute(id)


def _signed_event(emulator: Emulator, params: JsonDict) -> JsonDict:
    timestamp = int(params["timestamp"]) if "timestamp" in params else None
    signed = emulator.signed_event(_get(params, "event", str), timestamp=timestamp)
    return {"body": signed.body.decode(), "signature": signed.signature}


def _fault(emulator: Emulator, params: JsonDict) -> JsonDict:
    emulator.add_fault(**params)
    return {"faults": emulator.faults()}


def _faults(emulator: Emulator, params: JsonDict) -> JsonDict:
    return {"faults": emulator.faults()}


def _override(emulator: Emulator, params: JsonDict, id: str) -> JsonDict:
    return emulator.override_payment_intent(id, params)


_ROUTES: list[tuple[str, str, Callable[..., JsonDict]]] = [
    ("POST", r"reset", _reset),
    ("POST", r"webhooks/pause", _pause),
    ("POST", r"webhooks/resume", _resume),
    ("POST", r"webhooks/wait", _wait),
    ("POST", r"webhooks/redeliver", _redeliver),
    ("POST", r"webhooks/endpoint", _endpoint),
    ("GET", r"deliveries", _deliveries),
    ("GET", r"requests", _requests),
    ("POST", r"settle", _settle),
    ("POST", r"payments", _import),
    ("POST", r"refunds", _refund),
    ("POST", r"disputes", _dispute),
    ("POST", r"disputes/(?P<id>[^/]+)/close", _close_dispute),
    ("POST", r"disputes/(?P<id>[^/]+)/escalate", _escalate_dispute),
    ("GET", r"signed-event", _signed_event),
    ("POST", r"faults", _fault),
    ("GET", r"faults", _faults),
    ("POST", r"payment_intents/(?P<id>[^/]+)", _override),
]

_NOTHING = object()


def _get(params: JsonDict, name: str, kind: Any, default: Any = _NOTHING) -> Any:
    if name not in params:
        if default is _NOTHING:
            raise BadCallError(f"{name} is missing")
        return default
    value = params[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadCallError(f"{name} has the wrong type")
    return value


def _labels(params: JsonDict) -> dict[str, str]:
    labels: dict[str, str] = _get(params, "metadata", dict, {})
    if not all(isinstance(value, str) for value in labels.values()):
        raise BadCallError("metadata holds strings")
    return labels


def _body(call: Call) -> JsonDict:
    if not call.body.strip():
        return {}
    try:
        params = json.loads(call.body)
    except (ValueError, RecursionError) as error:
        raise BadCallError("The body is not JSON.") from error
    if not isinstance(params, dict):
        raise BadCallError("The body is not a JSON object.")
    return params


def _json(status: int, obj: JsonDict) -> Answer:
    return Answer(status, encoded(obj))
