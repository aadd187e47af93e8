"""Idempotency keys (API reference, "Idempotent requests").

The first answer is stored, also when it is a 500, and sent again for the same request; nothing is stored for
a request that validation refused. Keys belong to the secret key that used them.
"""

from __future__ import annotations

import json

from local_stripe.protocol.errors import StripeError, invalid
from local_stripe.runtime.records import Record
from local_stripe.runtime.state import Request, State, idempotency_slot

MAX_KEY = 255


def begin(state: State, request: Request) -> tuple[int, bytes] | None:
    """Claim the request's key; the stored status and body if it was answered before.

    Raises StripeError: ``idempotency_error`` (400) for other parameters or another path, 409 while the first
    request still runs. The caller holds the lock.
    """
    key = request.idempotency_key or ""
    if len(key) > MAX_KEY:
        raise invalid(f"Idempotency keys can be at most {MAX_KEY} characters; yours has {len(key)}.")
    params = json.dumps(request.params, sort_keys=True)
    slot = idempotency_slot(request)
    record: Record | None = state.idempotency.get(slot)
    if record is None:
        state.idempotency[slot] = Record(request.path, params)
        return None
    if record.path != request.path:
        raise _misused("for the same endpoint they were first used for", key, record.path)
    if record.params != params:
        raise _misused("with the same parameters they were first used with", key)
    if record.answer is None:
        raise StripeError(
            409,
            "There is currently another in-progress request using this Idempotent Key (that probably means "
            f"you submitted twice, and the other request is still going through): {key}. Please try again "
            "later.",
            type="idempotency_error",
            code="idempotency_key_in_use",
        )
    return record.answer


def finish(state: State, request: Request, answer: tuple[int, bytes] | None) -> None:
    """Keep ``answer`` for the key that ``begin`` claimed, or with None free it. The caller holds the lock."""
    slot = idempotency_slot(request)
    record: Record | None = state.idempotency.get(slot)
    if record is None:
        return
    if answer is None:
        del state.idempotency[slot]
    else:
        record.answer = answer


def _misused(rule: str, key: str, path: str = "") -> StripeError:
    place = f" ('{path}')" if path else ""
    return StripeError(
        400,
        f"Keys for idempotent requests can only be used {rule}{place}. Try using a key other than '{key}' if "
        "you meant to execute a different request.",
        type="idempotency_error",
    )
