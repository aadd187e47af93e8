"""All that the local Stripe remembers, in memory, behind one lock.

Every reader and writer holds ``State.lock``; nobody waits for a network or a clock while holding it.
"""

from __future__ import annotations

import copy
import random
import string
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import Fault, Record, TestCard

API_VERSION = "2026-10-28.endive"
REMEMBERED_REQUESTS = 2000

_random = random.SystemRandom()
_ALPHABET = string.ascii_letters + string.digits


def random_text(length: int) -> str:
    """Unguessable letters and digits."""
    return "".join(_random.choices(_ALPHABET, k=length))


def new_id(prefix: str) -> str:
    """An id in Stripe's form, such as ``pi_3Q…``."""
    return f"{prefix}_3{random_text(23)}"


def now() -> int:
    """Stripe's time stamps: whole seconds since 1970."""
    return int(time.time())


@dataclass(frozen=True)
class Request:
    """One call of the API, after its parameters and its key were read."""

    method: str
    path: str
    params: JsonDict
    publishable: bool = False
    scope: str = ""
    idempotency_key: str | None = None
    id: str | None = None


INTERNAL_REQUEST = Request("POST", "", {})
"""For effects without an API call, such as a delayed payment that settles."""


@dataclass
class State:
    """The one account of the local Stripe. ``objects`` maps a kind ("charge") and an id to an object.

    ``later`` takes the steps that banks take after a while, such as the end of a pending refund. ``resets``
    counts the calls of ``clear``, so that a request which began before one leaves nothing behind after it.
    """

    base_url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    on_event: Callable[[JsonDict], None] = field(default=lambda _event: None)
    later: Callable[[Callable[[], None]], None] = field(default=lambda _step: None)
    objects: dict[str, dict[str, JsonDict]] = field(default_factory=dict)
    cards: dict[str, TestCard] = field(default_factory=dict)
    authentications: dict[str, str] = field(default_factory=dict)
    return_urls: dict[str, str] = field(default_factory=dict)
    idempotency: dict[tuple[str, str], Record] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: deque[JsonDict] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))
    resets: int = 0

    def clear(self) -> None:
        """Remove everything."""
        for memory in (self.objects, self.cards, self.authentications, self.return_urls, self.idempotency):
            memory.clear()
        self.faults.clear()
        self.requests.clear()
        self.resets += 1

    def add(self, obj: JsonDict) -> JsonDict:
        """Store a new object under its kind and id; returns it."""
        self.of_kind(obj["object"])[obj["id"]] = obj
        return obj

    def of_kind(self, kind: str) -> dict[str, JsonDict]:
        """All objects of a kind, oldest first."""
        return self.objects.setdefault(kind, {})

    def find(self, kind: str, id: str | None) -> JsonDict | None:
        """The object, or None."""
        return self.of_kind(kind).get(id) if id else None

    def emit(self, type: str, obj: JsonDict, request: Request) -> JsonDict:
        """Store an event about ``obj`` as it is now, and hand it to the webhooks. Returns the event."""
        event: JsonDict = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": now(),
            "data": {"object": copy.deepcopy(obj)},
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": request.id, "idempotency_key": request.idempotency_key},
            "type": type,
        }
        self.add(event)
        self.on_event(event)
        return event
