"""Signed webhooks, delivered in the background and tried again (docs, "Webhooks", "Verify signatures").

Events are sent in the order in which they happened; one that failed is sent again later, possibly after newer
ones, as at Stripe.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import http.client
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import State, now

RETRY_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
REMEMBERED_DELIVERIES = 2000


def body_of(event: JsonDict) -> bytes:
    """What is sent and signed: indented as Stripe's, so that encoding it anew breaks the signature."""
    return json.dumps(event, indent=2).encode()


def signature(body: bytes, secret: str, timestamp: int) -> str:
    """The header ``Stripe-Signature``: HMAC-SHA256 over ``timestamp.body``."""
    digest = hmac.new(secret.encode(), b"%d.%s" % (timestamp, body), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def check_url(url: str) -> None:
    """Raise ValueError unless ``url`` is an absolute http or https address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Not an http(s) address: {url}")
    _ = parts.port  # raises ValueError when it is not a number


@dataclass(order=True)
class _Job:
    due: float
    number: int
    event: JsonDict = field(compare=False)
    attempt: int = field(compare=False, default=1)


class Webhooks:
    """The queue and its one worker thread. Its condition is the lock of the state."""

    def __init__(
        self,
        state: State,
        url: str | None,
        secret: str,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        timeout: float = 10.0,
    ) -> None:
        if url:
            check_url(url)
        self.state = state
        self.url = url
        self.secret = secret
        self.retry_delays = retry_delays
        self.timeout = timeout
        self.paused = False
        self.deliveries: deque[JsonDict] = deque(maxlen=REMEMBERED_DELIVERIES)
        self._changed = threading.Condition(state.lock)
        self._jobs: list[_Job] = []
        self._number = 0
        self._running: _Job | None = None
        self._stopped = False
        self._generation = 0

    def start(self) -> None:
        """Begin to deliver."""
        threading.Thread(target=self._work, name="local-stripe-webhooks", daemon=True).start()

    def stop(self) -> None:
        """Deliver nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def schedule(self, event: JsonDict) -> None:
        """Deliver ``event`` soon, if there is an endpoint. The caller holds the lock."""
        if self.url:
            event["pending_webhooks"] = 1
            self._push(event, 0.0, 1)

    def resume_undelivered(self) -> None:
        """Deliver the events that an earlier process could not; the caller holds the lock."""
        for event in self.state.of_kind("event").values():
            if event["pending_webhooks"]:
                self.schedule(event)

    def clear(self) -> None:
        """Forget all deliveries, done and due. The endpoint stays."""
        with self._changed:
            self._generation += 1
            self.paused = False
            self._jobs.clear()
            self.deliveries.clear()
            self._changed.notify_all()

    def pause(self) -> None:
        """Hold deliveries; one in progress is finished."""
        with self._changed:
            self.paused = True

    def resume(self, discard: bool = False) -> int:
        """Deliver again. ``discard`` first drops the queued deliveries. Returns the number of deliveries due."""
        with self._changed:
            if discard:
                self._jobs.clear()
            self.paused = False
            self._changed.notify_all()
            return len(self._jobs)

    def set_endpoint(self, url: str | None, secret: str | None) -> None:
        """Deliver to ``url`` from now on; None: nowhere. Raises ValueError for a bad address."""
        if url:
            check_url(url)
        with self._changed:
            self.url = url
            self.secret = secret or self.secret
            self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is due or under way. False after ``timeout`` seconds, or at once when paused."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._jobs or self._running:
                left = deadline - time.monotonic()
                if left <= 0 or (self.paused and not self._running):
                    return False
                self._changed.wait(left)
            return True

    def redeliver(self, event: JsonDict, times: int = 1, parallel: bool = False) -> list[JsonDict]:
        """Deliver an event now, also while paused, without retries. Returns the deliveries."""
        done: list[JsonDict] = []

        def once() -> None:
            done.append(self._deliver(event, 1))

        if not parallel:
            for _ in range(times):
                once()
            return done
        threads = [threading.Thread(target=once, daemon=True) for _ in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return done

    def _push(self, event: JsonDict, delay: float, attempt: int) -> None:
        self._number += 1
        heapq.heappush(self._jobs, _Job(time.monotonic() + delay, self._number, event, attempt))
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            job, generation = self._next()
            if job is None:
                return
            delivery = self._deliver(job.event, job.attempt)
            with self._changed:
                retry = not delivery["delivered"] and job.attempt <= len(self.retry_delays)
                if retry and generation == self._generation and not self._stopped:
                    self._push(job.event, self.retry_delays[job.attempt - 1], job.attempt + 1)
                self._running = None
                self._changed.notify_all()

    def _next(self) -> tuple[_Job | None, int]:
        with self._changed:
            while not self._stopped:
                if self.paused or not self._jobs:
                    self._changed.wait()
                    continue
                left = self._jobs[0].due - time.monotonic()
                if left <= 0:
                    self._running = heapq.heappop(self._jobs)
                    return self._running, self._generation
                self._changed.wait(left)
            return None, self._generation

    def _deliver(self, event: JsonDict, attempt: int) -> JsonDict:
        with self._changed:
            url, secret, generation = self.url, self.secret, self._generation
            body = body_of(event)
        started = now()
        status, error = _post(url, body, signature(body, secret, started), self.timeout)
        delivery: JsonDict = {
            "event": event["id"],
            "type": event["type"],
            "url": url,
            "attempt": attempt,
            "at": started,
            "status": status,
            "error": error,
            "delivered": status is not None and 200 <= status < 300,
        }
        with self.state.transaction():
            if generation == self._generation:
                self.deliveries.append(delivery)
                if delivery["delivered"]:
                    event["pending_webhooks"] = 0
                    self.state.touch(event)
        return delivery


def _post(url: str | None, body: bytes, header: str, timeout: float) -> tuple[int | None, str | None]:
    """Status and error of one attempt. Follows no redirect and uses no proxy."""
    if not url:
        return None, "no endpoint"
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": header,
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Accept": "*/*; q=0.5, application/xml",
        "Connection": "close",
    }
    try:
        connection.request("POST", target, body, headers)
        return connection.getresponse().status, None
    except (OSError, http.client.HTTPException, ValueError) as error:
        return None, type(error).__name__
    finally:
        connection.close()
