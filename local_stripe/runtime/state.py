"""All that the local Stripe remembers, in memory and perhaps in a file, behind one lock.

Every reader holds ``State.lock``, and every writer is in a ``State.transaction``, which holds it, too; nobody waits
for a network or a clock meanwhile.
"""

from __future__ import annotations

import copy
import json
import logging
import random
import sqlite3
import string
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import Fault, Record, TestCard
from local_stripe.runtime.storage import Storage
from local_stripe.runtime.tables import Table

logger = logging.getLogger(__name__)

API_VERSION = "2026-10-28.endive"
REMEMBERED_REQUESTS = 2000
EVENTS_KEPT = 30 * 86400  # seconds (API reference, "Events")

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
    objects: dict[str, Table[JsonDict]] = field(default_factory=dict)
    cards: Table[TestCard] = field(default_factory=Table)
    authentications: Table[str] = field(default_factory=Table)
    return_urls: Table[str] = field(default_factory=Table)
    idempotency: Table[Record] = field(default_factory=Table)
    faults: list[Fault] = field(default_factory=list)
    requests: deque[JsonDict] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))
    resets: int = 0
    storage: Storage | None = None
    _depth: int = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock, and at the end of the outermost one keep in the file what has changed, if there is one."""
        with self.lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self.storage and not self._depth:
                    self._save(self.storage)

    def _save(self, storage: Storage) -> None:
        try:
            storage.save(self._tables())
        except (
            sqlite3.Error
        ) as error:  # a full disk, say: the payment stands, and is written with the next change
            logger.error("The local Stripe could not write %s: %s", storage.path, error)

    def load(self, storage: Storage) -> None:
        """Take over what a file holds, but for events that Stripe would have forgotten, and keep all changes in it.

        Raises UnreadableError.
        """
        oldest_event, own_tables = now() - EVENTS_KEPT, self._own_tables()
        with self.transaction():
            for name, id, row in storage.rows():
                (own_tables[name] if name in own_tables else self.of_kind(name))[id] = row
            for table in self._tables().values():
                table.touched.clear()
            events = self.of_kind("event")
            for id in [id for id, event in events.items() if event["created"] < oldest_event]:
                del events[id]
            # A process that died while it answered: the caller does not know how it ended, and may ask again.
            for key in [key for key, record in self.idempotency.items() if record.answer is None]:
                del self.idempotency[key]
            self.storage = storage

    def close(self) -> None:
        """Let others have the file; what changes from now on is not kept."""
        with self.transaction():
            pass
        with self.lock:
            storage, self.storage = self.storage, None
            if storage:
                storage.close()

    def _own_tables(self) -> dict[str, Table[Any]]:
        """What is remembered besides Stripe's objects, by the names in the file."""
        return {
            "test_card": self.cards,
            "authentication": self.authentications,
            "return_url": self.return_urls,
            "idempotency_key": self.idempotency,
        }

    def _tables(self) -> dict[str, Table[Any]]:
        return {**self._own_tables(), **self.objects}

    def clear(self) -> None:
        """Remove everything."""
        for memory in self._tables().values():
            memory.clear()
        self.faults.clear()
        self.requests.clear()
        self.resets += 1

    def add(self, obj: JsonDict) -> JsonDict:
        """Store a new object under its kind and id; returns it."""
        self.of_kind(obj["object"])[obj["id"]] = obj
        return obj

    def of_kind(self, kind: str) -> Table[JsonDict]:
        """All objects of a kind, oldest first."""
        return self.objects.setdefault(kind, Table())

    def find(self, kind: str, id: str | None) -> JsonDict | None:
        """The object, or None."""
        return self.of_kind(kind).get(id) if id else None

    def emit(self, type: str, obj: JsonDict, request: Request) -> JsonDict:
        """Store an event about ``obj`` as it is now, and hand it to the webhooks. Returns the event."""
        self.touch(obj)
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

    def touch(self, obj: JsonDict) -> None:
        """Note that an object has changed, for one that was not just taken by its id."""
        self.of_kind(obj["object"]).touched[obj["id"]] = None


def idempotency_slot(request: Request) -> str:
    """The id under which the key of a request is remembered: keys belong to the secret key that used them."""
    return json.dumps([request.scope, request.idempotency_key or ""])
