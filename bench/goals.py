"""What the product is to reach, as data, and whether it does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .results import Results


@dataclass(frozen=True)
class Goal:
    """A figure of a run, the bound that it must keep, and the one that is aimed at."""

    title: str
    figure: Callable[[Results], float | None]  # None: not measured
    must: float
    aim: float
    at_most: bool = False  # the figure must not be more than the bound, instead of not less

    def verdict(self, value: float | None) -> str:
        """`not measured`, `missed`, `met`, or `met, and the aim`."""
        if value is None:
            return "not measured"
        if not self._keeps(value, self.must):
            return "missed"
        return "met, and the aim" if self.aim != self.must and self._keeps(value, self.aim) else "met"

    def _keeps(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


def _rate(scenario: str, other: str, *, of: str | None = None) -> Callable[[Results], float | None]:
    """Answers a second against those of another opponent; `of` is its scenario where it is another one."""
    return lambda results: results.ratio(scenario, other, of or scenario)


def _against(
    scenario: str,
    title: str,
    *,
    b: tuple[float, float] | None = None,
    a: tuple[float, float] | None = None,
) -> Iterator[Goal]:
    """A goal against each of the twins for which there are two bounds: the one to keep, and the one aimed at."""
    for name, bounds in (("B", b), ("A", a)):
        if bounds:
            yield Goal(f"{title}: against {name}", _rate(scenario, name), *bounds)


def _slow(scenario: str, title: str) -> Goal:
    def figure(results: Results) -> float | None:
        return results.median(scenario, lambda sample: sample.p99_ms / sample.p50_ms)

    return Goal(f"{title}: p99 / p50", figure, 4, 4, at_most=True)


def _at_a_million(scenario: str, title: str, bound: float) -> Goal:
    """Against B where both have a million vouchers: with fewer the twin, which counts them all, is quicker."""
    rate = _rate(scenario, "B")
    return Goal(
        f"{title}, a million vouchers: against B",
        lambda results: rate(results) if results.vouchers >= MILLION else None,
        bound,
        bound,
    )


def _alone_ms(scenario: str, title: str, bound: float) -> Goal:
    def figure(results: Results) -> float | None:
        key = results.key(scenario, connections=1)
        return results.median(scenario, lambda sample: sample.p50_ms, key)

    return Goal(f"{title}: p50 at one connection, ms", figure, bound, bound, at_most=True)


def _growth(scenario: str, title: str, bound: float) -> Goal:
    return Goal(
        f"{title}: CPU at the largest size / at the smallest",
        lambda results: results.growth(scenario),
        bound,
        bound,
        at_most=True,
    )


def _login_by_hash(results: Results) -> float | None:
    cpu, least = results.median("login", lambda sample: sample.cpu_ms), results.facts.get("hash_ms")
    return cpu / least if cpu and least else None


MILLION: Final = 1_000_000
DRF, DJANGO = "DRF view", "Django view"
MIDDLING: Final = (
    ("detail", "detail"),
    ("history", "history"),
    ("stats", "stats"),
    ("dashboard", "personal dashboard"),
)
PLATFORM: Final = (
    ("platform", "platform dashboard"),
    ("platform-366", "platform dashboard, 366 days"),
)
EVERY: Final = (
    ("types", "types"),
    ("redeem", "redeem, distinct"),
    ("redeem-hot", "redeem, hot"),
    ("redeem-key", "redeem with key"),
    ("my-vouchers-20", "my-vouchers, 20"),
    ("my-vouchers-100k", "my-vouchers, 100,000"),
    *MIDDLING,
    ("create", "create-payment-intent"),
    ("confirm-1", "confirm, 1"),
    ("confirm-10", "confirm, 10"),
    ("dashboard-100k", "personal dashboard, 100,000"),
    *PLATFORM,
    ("login", "login"),
    ("refresh", "refresh"),
)

# Measured at each size.
GROWTH: Final = (
    "types",
    "redeem",
    "my-vouchers-20",
    "my-vouchers-100k",
    "detail",
    "history",
    "stats",
    "platform",
    "platform-366",
)
SLACKER: Final = ("redeem", "platform", "platform-366")  # 1.2 times is allowed

GOALS: Final = (
    *_against("redeem", "redeem, distinct", b=(2, 3), a=(6, 8)),
    Goal(
        "redeem, distinct: against DRF, JWT and the statement",
        _rate("redeem", DRF, of="floor-redeem"),
        0.4,
        0.5,
    ),
    Goal(
        "redeem, distinct: p50 at one connection / that of the floor",
        lambda results: results.p50_ratio("redeem", "floor-redeem", connections=1),
        1.8,
        1.5,
        at_most=True,
    ),
    *_against("redeem-hot", "redeem, hot", b=(2, 2), a=(5, 5)),
    Goal(
        "redeem, hot: against distinct", lambda results: results.own_ratio("redeem-hot", "redeem"), 0.9, 0.9
    ),
    *_against("redeem-key", "redeem with key", b=(1.2, 1.2)),
    *_against("my-vouchers-20", "my-vouchers, 20", b=(2, 3.3), a=(6, 10)),
    Goal("my-vouchers, 20: against DRF and JWT", _rate("my-vouchers-20", DRF, of="floor-drf"), 0.4, 0.6),
    *_against("my-vouchers-100k", "my-vouchers, 100,000", b=(8, 8)),
    Goal(
        "my-vouchers, 100,000: CPU / that of 20",
        lambda results: results.cpu_ratio("my-vouchers-100k", "my-vouchers-20"),
        1.5,
        1.5,
        at_most=True,
    ),
    *_against("types", "types", b=(3, 4), a=(15, 20)),
    Goal("types: against a Django view", _rate("types", DJANGO, of="floor-django"), 0.6, 0.8),
    Goal("types: 304 against 200", lambda results: results.own_ratio("types-304", "types"), 1, 1),
    *(goal for name, title in MIDDLING for goal in _against(name, title, b=(1.3, 2), a=(4, 6))),
    Goal(
        "personal dashboard, 100,000: CPU / that of 20",
        lambda results: results.cpu_ratio("dashboard-100k", "dashboard"),
        1.5,
        1.5,
        at_most=True,
    ),
    *(_at_a_million(name, title, 150) for name, title in PLATFORM),
    *(_alone_ms(name, title, 15) for name, title in PLATFORM),
    *_against("create", "create-payment-intent", b=(1.2, 2), a=(3, 6)),
    *_against("confirm-1", "confirm, 1", b=(1.2, 2), a=(3, 6)),
    *_against("confirm-10", "confirm, 10", b=(1.2, 2), a=(3, 6)),
    Goal("refresh: against DRF, JWT and one query", _rate("refresh", DRF, of="floor-drf"), 0.6, 0.6),
    *_against("login", "login", a=(5, 5.5)),
    Goal("login: CPU / that of its hash", _login_by_hash, 1.3, 1.3, at_most=True),
    *(_growth(name, title, 1.2 if name in SLACKER else 1.15) for name, title in EVERY if name in GROWTH),
    Goal(
        "memory of a worker after load, MB",
        lambda results: results.facts.get("worker_mb"),
        110,
        110,
        at_most=True,
    ),
    Goal("start of a worker, s", lambda results: results.facts.get("start_s"), 1.5, 1.5, at_most=True),
    *(_slow(name, title) for name, title in EVERY),
)
