"""How often something may be tried: counters in Redis, and in this process where Redis is away.

A counter is a limit of the settings (`LIMIT_…`: so many in so many seconds) and whom it counts. Its window starts
with the first attempt. Several counters are tried as one: if any that applies is at its limit, none counts, and
TooManyAttempts says when to come back. So a refused attempt is no attempt: hammering one locked account locks nothing
else. A counter that many people share may apply to some of them only (`Refuses`), by what the first of the counters,
that of the account, has counted.

Deciding and counting are one atomic step, a script in Redis or a lock in the process. What Redis costs a request is
bounded: a short deadline, no retry, and after a failure nobody asks it again for some seconds.
"""

import ipaddress
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, Protocol

from django.conf import settings
from django.core.cache import caches
from django.utils.crypto import salted_hmac

from .errors import TooManyAttempts

log = logging.getLogger(__name__)

REDIS_TIMEOUT: Final = 0.25  # seconds to connect, and again to answer
REDIS_PAUSE: Final = 10.0  # seconds for which a Redis that failed is left alone
TOLERANCE: Final = (
    60_000  # milliseconds by which clocks may differ: the end that one wrote stays, to be given back
)
LARGEST: Final = 50_000  # counters kept in the process


class HasMeta(Protocol):
    """A request, Django's or REST framework's."""

    @property
    def META(self) -> dict[str, Any]: ...  # noqa: N802 - Django's name


class Refuses(IntEnum):
    """Whom a counter at its limit refuses, told apart by the first counter of the try."""

    EVERYBODY = 0
    REPEATERS = 1  # whom the first counter has counted before; it counts all, also past its limit
    NEWCOMERS = 2  # whom it has not; and it counts these alone, so that it counts parties and not attempts


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


@dataclass(frozen=True)
class Hits:
    """Attempts that were counted, and in which window of each counter (its end, in milliseconds)."""

    keys: tuple[str, ...] = ()
    windows: tuple[int, ...] = ()


def test(*counters: Counter) -> None:
    """Raise TooManyAttempts if a counter is at its limit; count nothing."""
    _try(counters, 0)


def hit(*counters: Counter) -> Hits:
    """Count one attempt on each counter, or raise TooManyAttempts and count none."""
    return _try(counters, 1)


def undo(taken: Hits) -> None:
    """Uncount an attempt, unless its window has ended."""
    if taken.keys:
        _run("undo", list(taken.keys), list(taken.windows))


@contextmanager
def count_failures(*kinds: type[Exception], of: tuple[Counter, ...]) -> Iterator[None]:
    """Count the block on the counters `of` before it runs, and give that back unless it raises one of `kinds`.

    Counted beforehand, so that of any number of parallel blocks no more run than the limit allows to fail.
    Raises TooManyAttempts, and then the block has not run.
    """
    taken = hit(*of)
    try:
        yield
    except kinds:
        raise
    except BaseException:
        undo(taken)
        raise
    undo(taken)


@contextmanager
def successes(*, of: tuple[Counter, ...]) -> Iterator[None]:
    """Count the block on the counters `of` before it runs, and give that back if it raises.

    Raises TooManyAttempts, and then the block has not run.
    """
    taken = hit(*of)
    try:
        yield
    except BaseException:
        undo(taken)
        raise


def per_network(
    limit: str, request: HasMeta, who: str = "", *, refuses: Refuses = Refuses.EVERYBODY
) -> tuple[Counter, ...]:
    """The counters of a limit for the network of a request, and for `who` in it if that is told.

    One for IPv4. An IPv6 network counts a second time in the /48 around it, which one customer may have whole: that
    allows LIMIT_WIDE_NETWORK_TIMES as much.
    """
    network = client_network(request)
    counter = Counter(limit, f"{network} {who}".strip(), refuses)
    if ":" not in network:
        return (counter,)
    wide = ipaddress.IPv6Network(network).supernet(new_prefix=48)
    return counter, Counter(limit, f"{wide} {who}".strip(), refuses, settings.LIMIT_WIDE_NETWORK_TIMES)


def client_network(request: HasMeta) -> str:
    """The network that a request comes from: an IPv4 address, or the /64 of an IPv6 address; "" if unknown.

    Of X-Forwarded-For only the entry that the outermost of TRUSTED_PROXY_COUNT proxies wrote is believed. Where
    there is none, the request came past the proxies: then it is the address of the connection.
    """
    connection = str(request.META.get("REMOTE_ADDR") or "")
    hops = settings.TRUSTED_PROXY_COUNT
    entries = str(request.META.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    forwarded = entries[-hops] if 0 < hops <= len(entries) else ""
    return _network(forwarded) or _network(connection)


def address_report(request: HasMeta) -> dict[str, str | int]:
    """Whom the limits take the sender of a request for, and all that this follows from; for staff alone."""
    return {
        "network": client_network(request),
        "connection": str(request.META.get("REMOTE_ADDR") or ""),
        "x_forwarded_for": str(request.META.get("HTTP_X_FORWARDED_FOR") or ""),
        "trusted_proxy_count": settings.TRUSTED_PROXY_COUNT,
    }


def _network(address: str) -> str:
    address = address.strip()
    if address.startswith("["):  # "[2001:db8::1]:443"
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:  # "203.0.113.7:443"
        address = address.partition(":")[0]
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))


# --- Counting -----------------------------------------------------------------------------------------------------


def _try(counters: tuple[Counter, ...], amount: int) -> Hits:
    if not settings.RATE_LIMITS_ENABLED or not counters:
        return Hits()
    keys = [counter.key for counter in counters]
    now = int(time.time() * 1000)
    rules = [number for counter in counters for number in (*counter.rate, int(counter.refuses))]
    wait, *windows = _run("hit", keys, [now, amount, *rules])
    if wait:
        for counter, window in zip(counters, windows, strict=True):
            if window < 0:
                log.warning("Limit reached: %s", counter.limit)
        raise TooManyAttempts(retry_after=max(1, math.ceil(wait / 1000)))
    return Hits(tuple(keys), tuple(windows))


def _run(step: str, keys: list[str], numbers: list[int]) -> list[int]:
    """Run a step in Redis or, where it is away or there is none, in the process."""
    if settings.REDIS_URL:
        with _making:  # without it, threads that come first together make one each, and each waits by itself
            counters = _redis(settings.REDIS_URL)
        answer = counters.run(step, keys, numbers)
        if answer is not None:
            return answer
    return _process.run(step, keys, numbers)


class MemoryStore:
    """Counters in the memory of this process, at most LARGEST: those untouched for longest go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, int]] = OrderedDict()  # key: (count, end of the window)

    def run(self, step: str, keys: list[str], numbers: list[int]) -> list[int]:
        with self._lock:
            return self._take(keys, *numbers) if step == "hit" else self._give_back(keys, numbers)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def _take(self, keys: list[str], now: int, amount: int, *rules: int) -> list[int]:
        found = []
        wait = counted_before = 0
        windows: list[int] = []
        for key, limit, seconds, refuses in zip(keys, rules[::3], rules[1::3], rules[2::3], strict=True):
            count, end = self._kept.get(key, (0, 0))
            if end <= now:
                count, end = 0, now + seconds * 1000
            if end > now + seconds * 1000 + TOLERANCE:
                end = now + seconds * 1000
            if not windows:
                counted_before = count
            if refuses == Refuses.NEWCOMERS and counted_before:
                windows.append(0)
                continue
            full = count >= limit and (refuses != Refuses.REPEATERS or counted_before > 0)
            wait = max(wait, end - now) if full else wait
            windows.append(-end if full else end)
            found.append((key, count, end))
        if not wait and amount:
            for key, count, end in found:
                self._kept[key] = (count + amount, end)
                self._kept.move_to_end(key)
            while len(self._kept) > LARGEST:
                self._kept.popitem(last=False)
        return [wait, *windows]

    def _give_back(self, keys: list[str], windows: list[int]) -> list[int]:
        for key, window in zip(keys, windows, strict=True):
            count, end = self._kept.get(key, (0, 0))
            if count and end == window:
                self._kept[key] = (count - 1, end)
        return []


class RedisStore:
    """Counters in one Redis; None from `run` means that it was not asked, or did not answer."""

    # The clock is ours, passed in, so that both stores tell time alike; each counter keeps the end of its window.
    SCRIPTS: Final = {
        "hit": """
            local now, amount = tonumber(ARGV[1]), tonumber(ARGV[2])
            local found, answer, wait, counted_before = {}, {0}, 0, 0
            for i, key in ipairs(KEYS) do
                local limit, length = tonumber(ARGV[3 * i]), 1000 * tonumber(ARGV[3 * i + 1])
                local refuses = tonumber(ARGV[3 * i + 2])
                local kept = redis.call('HMGET', key, 'count', 'end')
                local count, ends = tonumber(kept[1] or '0'), tonumber(kept[2] or '0')
                if ends <= now then count, ends = 0, now + length end
                if ends > now + length + TOLERANCE then ends = now + length end
                if i == 1 then counted_before = count end
                if refuses == NEWCOMERS and counted_before > 0 then
                    answer[i + 1] = 0
                else
                    if count >= limit and (refuses ~= REPEATERS or counted_before > 0) then
                        wait = math.max(wait, ends - now)
                        answer[i + 1] = -ends
                    else
                        answer[i + 1] = ends
                    end
                    found[#found + 1] = {key, count, ends}
                end
            end
            if wait == 0 and amount > 0 then
                for _, kept in ipairs(found) do
                    local key, count, ends = kept[1], kept[2] + amount, kept[3]
                    redis.call('HSET', key, 'count', count, 'end', string.format('%.0f', ends))
                    redis.call('PEXPIRE', key, string.format('%.0f', ends - now))
                end
            end
            answer[1] = wait
            return answer
        """.replace("TOLERANCE", str(TOLERANCE))
        .replace("REPEATERS", str(int(Refuses.REPEATERS)))
        .replace("NEWCOMERS", str(int(Refuses.NEWCOMERS))),
        "undo": """
            for i, key in ipairs(KEYS) do
                local kept = redis.call('HMGET', key, 'count', 'end')
                if kept[2] == ARGV[i] and tonumber(kept[1]) > 0 then redis.call('HINCRBY', key, 'count', -1) end
            end
            return {}
        """,
    }

    def __init__(self, url: str) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._lock = threading.Lock()
        self._asked_again_at = 0.0
        self._error = redis.RedisError
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=REDIS_TIMEOUT,
            socket_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._scripts = {step: client.register_script(script) for step, script in self.SCRIPTS.items()}

    def run(self, step: str, keys: list[str], numbers: list[int]) -> list[int] | None:
        if not self._may_ask():
            return None
        try:
            answer = [int(number) for number in self._scripts[step](keys=keys, args=numbers)]
        except (self._error, OSError) as error:
            self._asked_again_at = time.monotonic() + REDIS_PAUSE
            log.warning(
                "Redis failed (%s): this process counts by itself for %.0f s",
                type(error).__name__,
                REDIS_PAUSE,
            )
            return None
        self._asked_again_at = 0.0
        return answer

    def _may_ask(self) -> bool:
        """Whether Redis is well, or it is time that one thread tries it again."""
        if not self._asked_again_at:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._asked_again_at:
                return False
            self._asked_again_at = now + REDIS_PAUSE
            return True


_process = MemoryStore()
_making = threading.Lock()
_redis = lru_cache(maxsize=4)(RedisStore)


def reset() -> None:
    """Forget what this process has counted and what it knows of Redis; for tests."""
    _process.clear()
    _redis.cache_clear()
