"""Requests that a client may safely send again, by the header Idempotency-Key.

The form is that of the IETF's draft "The Idempotency-Key HTTP Header Field". A key belongs to a user; who keeps
it, for how long, and what the first answer was is the business of the use case.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .errors import ConflictError, InvalidError, UnprocessableError

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotent-Replayed": "true"}
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,255}")


class IdempotencyKeyInvalid(InvalidError):
    code = "idempotency_key_invalid"
    detail = "An Idempotency-Key has 1 to 255 printable ASCII characters."


class IdempotencyKeyReused(UnprocessableError):
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was sent before with another request."


class RequestInProgress(ConflictError):
    code = "request_in_progress"
    detail = "The same request is still being worked on. Please ask again in a moment."
    retry_after = 2


@dataclass(frozen=True)
class RequestKey:
    """The client's key for a request, and a fingerprint of the request."""

    key: str = field(repr=False)
    request_hash: str

    def check(self, request_hash: str) -> None:
        """Raises IdempotencyKeyReused unless the request that came first under this key was the same."""
        if request_hash != self.request_hash:
            raise IdempotencyKeyReused


def request_key(headers: Mapping[str, str], *, operation: str, body: Any) -> RequestKey | None:
    """The key that came with a request, None if there was none. `body` is the parsed JSON, as sent.

    Raises IdempotencyKeyInvalid.
    """
    key = headers.get(HEADER)
    if key is None:
        return None
    key = key.strip()
    if not _PRINTABLE.fullmatch(key):
        raise IdempotencyKeyInvalid
    request_text = json.dumps([operation, body], sort_keys=True, separators=(",", ":"))
    return RequestKey(key, hashlib.sha256(request_text.encode("utf-8", "surrogatepass")).hexdigest())
