"""Where counters are kept: in the memory of one process, or in one Redis for all of them.

Deciding and counting are one atomic step, a lock in the process or a script in Redis, and both stores decide alike.
The clock is the caller's, passed in, so that both tell time alike; each counter keeps the end of its window.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

log = logging.getLogger(__name__)

REDIS_TIMEOUT: Final = 0.25  # seconds to connect, and again to answer
REDIS_PAUSE: Final = 10.0  # seconds for which a Redis that failed is left alone
# Milliseconds by which clocks may differ: the end that one wrote stays, so that its attempts can be undone.
CLOCK_TOLERANCE_MS: Final = 60_000
LARGEST: Final = 50_000  # counters kept in the process


class StoreUnavailable(Exception):
    """The store did not answer, or failed so recently that it was not called."""


class Refuses(IntEnum):
    """Whom a counter at its limit refuses, depending on the first counter of the attempt."""

    EVERYBODY = 0
    REPEATERS = 1  # whom the first counter has counted before; it counts all, also past its limit
    NEWCOMERS = 2  # whom it has not; and it counts these alone, so that it counts parties and not attempts


@dataclass(frozen=True)
class Rule:
    """A counter as a store sees it: its key, and how many it allows in how many seconds."""

    key: str
    limit: int
    seconds: int
    refuses: Refuses = Refuses.EVERYBODY


@dataclass(frozen=True)
class Hits:
    """Attempts that were counted, and in which window of each counter (its end, in milliseconds; 0: not counted)."""

    keys: tuple[str, ...] = ()
    windows: tuple[int, ...] = ()


@dataclass(frozen=True)
class HitResult:
    """What a store decided: how long to wait (0: allowed), each counter's window, and which are at their limit."""

    wait_ms: int
    windows: tuple[int, ...]
    exceeded: tuple[bool, ...]


class Store(Protocol):
    """Keeps counters. Both methods are atomic, and raise StoreUnavailable where the store does not answer."""

    def hit(self, rules: Sequence[Rule], *, now_ms: int, amount: int) -> HitResult:
        """Count `amount` on all counters, or on none of them if one that applies is at its limit."""
        ...

    def undo(self, hits: Hits) -> None:
        """Uncount one attempt on each counter whose window is still the one of the attempt."""
        ...


class MemoryStore:
    """Counters in the memory of this process, at most LARGEST: those untouched for longest go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()  # key: (count, end of the window)

    def hit(self, rules: Sequence[Rule], *, now_ms: int, amount: int) -> HitResult:
        with self._lock:
            return self._hit(rules, now_ms, amount)

    def undo(self, hits: Hits) -> None:
        with self._lock:
            for key, window in zip(hits.keys, hits.windows, strict=True):
                count, end = self._counts.get(key, (0, 0))
                if count and end == window:
                    self._counts[key] = (count - 1, end)

    def clear(self) -> None:
        """Forget every counter."""
        with self._lock:
            self._counts.clear()

    def _hit(self, rules: Sequence[Rule], now_ms: int, amount: int) -> HitResult:
        applied: list[tuple[str, int, int]] = []
        windows: list[int] = []
        exceeded: list[bool] = []
        wait = counted_before = 0
        for rule in rules:
            length = rule.seconds * 1000
            count, end = self._counts.get(rule.key, (0, 0))
            # A window that has ended begins anew; one that a wrong clock wrote is cut to its length.
            if end <= now_ms:
                count, end = 0, now_ms + length
            if end > now_ms + length + CLOCK_TOLERANCE_MS:
                end = now_ms + length
            if not windows:
                counted_before = count
            # A counter of newcomers leaves out those whom the first counter knows.
            if rule.refuses == Refuses.NEWCOMERS and counted_before:
                windows.append(0)
                exceeded.append(False)
                continue
            full = count >= rule.limit and (rule.refuses != Refuses.REPEATERS or counted_before > 0)
            if full:
                wait = max(wait, end - now_ms)
            windows.append(end)
            exceeded.append(full)
            applied.append((rule.key, count, end))
        if not wait and amount:
            self._keep((key, count + amount, end) for key, count, end in applied)
        return HitResult(wait, tuple(windows), tuple(exceeded))

    def _keep(self, counters: Iterable[tuple[str, int, int]]) -> None:
        for key, count, end in counters:
            self._counts[key] = (count, end)
            self._counts.move_to_end(key)
        while len(self._counts) > LARGEST:
            self._counts.popitem(last=False)


class RedisStore:
    """Counters in one Redis. What it costs a request is bounded: a short deadline, no retry, and after a failure nobody
    asks it again for REDIS_PAUSE."""

    # An answer is the wait, and then each counter's window: negative where it is at its limit, 0 where it is left out.
    SCRIPTS: Final = {
        "hit": """
            local now, amount = tonumber(ARGV[1]), tonumber(ARGV[2])
            local windows, answer, wait, counted_before = {}, {0}, 0, 0
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
                    windows[#windows + 1] = {key, count, ends}
                end
            end
            if wait == 0 and amount > 0 then
                for _, kept in ipairs(windows) do
                    local key, count, ends = kept[1], kept[2] + amount, kept[3]
                    redis.call('HSET', key, 'count', count, 'end', string.format('%.0f', ends))
                    redis.call('PEXPIRE', key, string.format('%.0f', ends - now))
                end
            end
            answer[1] = wait
            return answer
        """.replace("TOLERANCE", str(CLOCK_TOLERANCE_MS))
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
        self._retry_at = 0.0
        self._error = redis.RedisError
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=REDIS_TIMEOUT,
            socket_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._scripts = {step: client.register_script(script) for step, script in self.SCRIPTS.items()}

    def hit(self, rules: Sequence[Rule], *, now_ms: int, amount: int) -> HitResult:
        numbers = [number for rule in rules for number in (rule.limit, rule.seconds, int(rule.refuses))]
        wait, *windows = self._run("hit", [rule.key for rule in rules], [now_ms, amount, *numbers])
        return HitResult(wait, tuple(map(abs, windows)), tuple(window < 0 for window in windows))

    def undo(self, hits: Hits) -> None:
        self._run("undo", hits.keys, hits.windows)

    def _run(self, name: str, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        """What a script answers; StoreUnavailable where Redis fails, or did so just now."""
        if not self._may_ask():
            raise StoreUnavailable
        try:
            answer = [int(number) for number in self._scripts[name](keys=keys, args=numbers)]
        except (self._error, OSError) as error:
            self._retry_at = time.monotonic() + REDIS_PAUSE
            log.warning(
                "Redis failed (%s): this process counts by itself for %.0f s",
                type(error).__name__,
                REDIS_PAUSE,
            )
            raise StoreUnavailable from error
        self._retry_at = 0.0
        return answer

    def _may_ask(self) -> bool:
        """Whether Redis is well, or it is time that one thread tries it again."""
        if not self._retry_at:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                return False
            self._retry_at = now + REDIS_PAUSE
            return True
