"""How often something may be tried: a counter is a limit of the settings and whom it counts.

A limit (`LIMIT_…`) is so many in so many seconds. A counter's window starts with the first attempt. Several counters
are tried as one: if any that applies is at its limit, none counts, and TooManyAttempts says when to come back. So a
refused attempt is no attempt: hammering one locked account locks nothing else. A counter that many people share may
apply to some of them only (`Refuses`), by what the first of the counters, that of the account, has counted.

They are kept in Redis, and in this process where Redis is away or there is none.
"""

import ipaddress
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from django.conf import settings
from django.core.cache import caches
from django.utils.crypto import salted_hmac

from apps.core.errors import TooManyAttempts
from apps.core.metrics import Counter as MetricCounter

from .client_network import HasMeta, client_network
from .stores import Hits, MemoryStore, RedisStore, Refuses, Rule, Store, StoreUnavailable

log = logging.getLogger(__name__)

Result = TypeVar("Result")

REACHED = MetricCounter("limits_reached_total", "Attempts refused by a limit, by its name.", ("limit",))


@dataclass(frozen=True)
class Counter:
    """One limit, for one party, or so many times that limit. `who` goes no further than a keyed digest."""

    limit: str
    who: str
    refuses: Refuses = Refuses.EVERYBODY
    times: int = 1

    @property
    def rate(self) -> tuple[int, int]:
        """How many, in how many seconds."""
        count, seconds = getattr(settings, self.limit)
        return int(count) * self.times, int(seconds)

    @property
    def key(self) -> str:
        """The counter's name in the store, among the keys of the cache."""
        digest = salted_hmac(self.limit, self.who, algorithm="sha256").hexdigest()[:32]
        return caches["default"].make_key(f"{self.limit}:{digest}")

    @property
    def rule(self) -> Rule:
        """The counter as a store sees it."""
        return Rule(self.key, *self.rate, self.refuses)


def test(*counters: Counter) -> None:
    """Raise TooManyAttempts if a counter is at its limit; count nothing."""
    _attempt(counters, 0)


def hit(*counters: Counter) -> Hits:
    """Count one attempt on each counter, or raise TooManyAttempts and count none."""
    return _attempt(counters, 1)


def undo(hits: Hits) -> None:
    """Uncount an attempt, unless its window has ended."""
    if hits.keys:
        _in_store(lambda store: store.undo(hits))


@contextmanager
def count_failures(*kinds: type[Exception], of: tuple[Counter, ...]) -> Iterator[None]:
    """Count the block on the counters `of` before it runs, and undo that unless it raises one of `kinds`.

    Counted beforehand, so that of any number of parallel blocks no more run than the limit allows to fail.
    Raises TooManyAttempts, and then the block has not run.
    """
    hits = hit(*of)
    try:
        yield
    except kinds:
        raise
    except BaseException:
        undo(hits)
        raise
    undo(hits)


@contextmanager
def successes(*, of: tuple[Counter, ...]) -> Iterator[None]:
    """Count the block on the counters `of` before it runs, and undo that if it raises.

    Raises TooManyAttempts, and then the block has not run.
    """
    hits = hit(*of)
    try:
        yield
    except BaseException:
        undo(hits)
        raise


def per_network(
    limit: str, request: HasMeta, who: str = "", *, refuses: Refuses = Refuses.EVERYBODY
) -> tuple[Counter, ...]:
    """The counters of a limit for the network of a request, and for `who` in it if that is not empty.

    One for IPv4. An IPv6 network counts a second time in the /48 around it, which one customer may have whole: that
    allows LIMIT_WIDE_NETWORK_TIMES as much.
    """
    network = client_network(request)
    counter = Counter(limit, f"{network} {who}".strip(), refuses)
    if ":" not in network:
        return (counter,)
    wide = ipaddress.IPv6Network(network).supernet(new_prefix=48)
    return counter, Counter(limit, f"{wide} {who}".strip(), refuses, settings.LIMIT_WIDE_NETWORK_TIMES)


def _attempt(counters: tuple[Counter, ...], amount: int) -> Hits:
    if not settings.RATE_LIMITS_ENABLED or not counters:
        return Hits()
    rules = [counter.rule for counter in counters]
    now = int(time.time() * 1000)
    result = _in_store(lambda store: store.hit(rules, now_ms=now, amount=amount))
    if result.wait_ms:
        for counter, exceeded in zip(counters, result.exceeded, strict=True):
            if exceeded:
                log.warning("Limit reached: %s", counter.limit)
                REACHED.count(counter.limit)
        raise TooManyAttempts(retry_after=max(1, math.ceil(result.wait_ms / 1000)))
    return Hits(tuple(rule.key for rule in rules), result.windows)


def _in_store(step: Callable[[Store], Result]) -> Result:
    """Take a step in Redis or, where it is away or there is none, in the process."""
    if settings.REDIS_URL:
        with (
            _creation
        ):  # without it, threads that come first together make one each, and each waits by itself
            redis_store = _redis_store(settings.REDIS_URL)
        try:
            return step(redis_store)
        except StoreUnavailable:
            pass
    return step(_memory_store)


_memory_store = MemoryStore()
_creation = threading.Lock()
_redis_store = lru_cache(maxsize=4)(RedisStore)


def reset() -> None:
    """Forget what this process has counted and what it knows of Redis; for tests."""
    _memory_store.clear()
    _redis_store.cache_clear()
