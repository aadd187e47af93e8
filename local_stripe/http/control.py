"""``/_control/``: what tests may do to the local Stripe that nobody can do to Stripe. JSON in, JSON out."""

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
            asked = dict(parse_qsl(call.query)) if method == "GET" else _body(call)
            return _json(200, handler(emulator, asked, **match.groupdict()))
        except StripeError as error:
            return _json(error.status, {"error": error.message})
        except LookupError as error:
            return _json(404, {"error": str(error.args[0] if error.args else error)})
        except (BadCallError, ValueError, TypeError, re.error) as error:
            return _json(400, {"error": str(error)})
    return _json(404, {"error": f"No such control call: {call.method} {path[:100]}"})


def _reset(emulator: Emulator, asked: JsonDict) -> JsonDict:
    emulator.reset()
    return {"reset": True}


def _pause(emulator: Emulator, asked: JsonDict) -> JsonDict:
    emulator.pause_webhooks()
    return {"paused": True}


def _resume(emulator: Emulator, asked: JsonDict) -> JsonDict:
    return {"paused": False, "due": emulator.resume_webhooks(discard=_get(asked, "discard", bool, False))}


def _wait(emulator: Emulator, asked: JsonDict) -> JsonDict:
    seconds = _get(asked, "timeout", (int, float), 5.0)
    if not 0 <= seconds <= 60:
        raise BadCallError("timeout is 0 to 60 seconds")
    return {"idle": emulator.wait_for_webhooks(seconds)}


def _redeliver(emulator: Emulator, asked: JsonDict) -> JsonDict:
    times = _get(asked, "times", int, 1)
    if not 1 <= times <= MAX_TIMES:
        raise BadCallError(f"times is 1 to {MAX_TIMES}")
    parallel = _get(asked, "parallel", bool, False)
    return {"deliveries": emulator.redeliver(_get(asked, "event", str), times=times, parallel=parallel)}


def _endpoint(emulator: Emulator, asked: JsonDict) -> JsonDict:
    url = _get(asked, "url", (str, type(None)))
    emulator.set_webhook_endpoint(url, _get(asked, "secret", str, None))
    return {"url": url}


def _deliveries(emulator: Emulator, asked: JsonDict) -> JsonDict:
    return {"deliveries": emulator.deliveries()}


def _requests(emulator: Emulator, asked: JsonDict) -> JsonDict:
    return {"requests": emulator.requests()}


def _settle(emulator: Emulator, asked: JsonDict) -> JsonDict:
    outcome = _get(asked, "outcome", str)
    if "refund" in asked:
        return emulator.settle_refund(_get(asked, "refund", str), outcome)
    return emulator.settle(_get(asked, "payment_intent", str), outcome)


def _refund(emulator: Emulator, asked: JsonDict) -> JsonDict:
    return emulator.refund(
        _get(asked, "payment_intent", str),
        _get(asked, "amount", (int, type(None)), None),
        reason=_get(asked, "reason", (str, type(None)), None),
        metadata=_labels(asked),
    )


def _dispute(emulator: Emulator, asked: JsonDict) -> JsonDict:
    return emulator.dispute(
        _get(asked, "payment_intent", str),
        _get(asked, "amount", (int, type(None)), None),
        reason=_get(asked, "reason", str, "fraudulent"),
        inquiry=_get(asked, "inquiry", bool, False),
    )


def _close_dispute(emulator: Emulator, asked: JsonDict, id: str) -> JsonDict:
    return emulator.close_dispute(id, _get(asked, "outcome", str))


def _escalate_dispute(emulator: Emulator, asked: JsonDict, id: str) -> JsonDict:
    return emulator.escalate_dispute(id)


def _signed_event(emulator: Emulator, asked: JsonDict) -> JsonDict:
    timestamp = int(asked["timestamp"]) if "timestamp" in asked else None
    signed = emulator.signed_event(_get(asked, "event", str), timestamp=timestamp)
    return {"body": signed.body.decode(), "signature": signed.signature}


def _fault(emulator: Emulator, asked: JsonDict) -> JsonDict:
    emulator.add_fault(**asked)
    return {"faults": emulator.faults()}


def _faults(emulator: Emulator, asked: JsonDict) -> JsonDict:
    return {"faults": emulator.faults()}


def _override(emulator: Emulator, asked: JsonDict, id: str) -> JsonDict:
    return emulator.override_payment_intent(id, asked)


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


def _get(asked: JsonDict, name: str, kind: Any, default: Any = _NOTHING) -> Any:
    if name not in asked:
        if default is _NOTHING:
            raise BadCallError(f"{name} is missing")
        return default
    value = asked[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadCallError(f"{name} has the wrong type")
    return value


def _labels(asked: JsonDict) -> dict[str, str]:
    labels: dict[str, str] = _get(asked, "metadata", dict, {})
    if not all(isinstance(value, str) for value in labels.values()):
        raise BadCallError("metadata holds strings")
    return labels


def _body(call: Call) -> JsonDict:
    if not call.body.strip():
        return {}
    try:
        asked = json.loads(call.body)
    except (ValueError, RecursionError) as error:
        raise BadCallError("The body is not JSON.") from error
    if not isinstance(asked, dict):
        raise BadCallError("The body is not a JSON object.")
    return asked


def _json(status: int, obj: JsonDict) -> Answer:
    return Answer(status, encoded(obj))
