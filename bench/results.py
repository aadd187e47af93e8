"""The samples of a run, and the figures that are drawn from them: ratios in each round, then medians."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from .load import Load, Sample
from .opponents import PRODUCT, WITH_LIMITS

MAIN: Final = Load()  # eight connections, keep-alive


@dataclass(frozen=True)
class Key:
    """What a sample is of. `vouchers` is the size of the data."""

    scenario: str
    opponent: str
    connections: int
    keep_alive: bool
    vouchers: int


@dataclass
class Results:
    """All samples by what they are of and by round, and what else a run has to say."""

    vouchers: int  # of the main part
    samples: dict[Key, dict[int, Sample]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gate: list[str] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)

    def add(self, key: Key, number: int, sample: Sample) -> None:
        """Keep the sample of a round."""
        self.samples.setdefault(key, {})[number] = sample

    def key(
        self, scenario: str, opponent: str = PRODUCT, *, connections: int = 8, keep_alive: bool = True
    ) -> Key:
        """The key of a scenario in the main part of the run."""
        if scenario == "redeem-limits" and opponent == PRODUCT:
            opponent = WITH_LIMITS
        return Key(scenario, opponent, connections, keep_alive, self.vouchers)

    def median(
        self, scenario: str, figure: Callable[[Sample], float], key: Key | None = None
    ) -> float | None:
        """The median over the rounds of a figure of each sample; None if there is none."""
        samples = self.samples.get(key or self.key(scenario), {})
        return statistics.median(figure(one) for one in samples.values()) if samples else None

    def ratios(
        self, mine: Key, other: Key, figure: Callable[[Sample], float] = lambda sample: sample.rps
    ) -> list[float]:
        """The ratio of two figures in each round that has both."""
        own, others = self.samples.get(mine, {}), self.samples.get(other, {})
        return [figure(own[number]) / figure(others[number]) for number in sorted(own.keys() & others.keys())]

    def ratio(self, scenario: str, other: str, of: str | None = None) -> float | None:
        """The median ratio of answers a second to those of another opponent; of its scenario `of`."""
        return _median(self.ratios(self.key(scenario), self.key(of or scenario, other)))

    def own_ratio(self, scenario: str, other: str) -> float | None:
        """The median ratio of answers a second to those of another scenario of the product."""
        return _median(self.ratios(self.key(scenario), self.key(other)))

    def cpu_ratio(self, scenario: str, other: str) -> float | None:
        """The median ratio of CPU per request to that of another scenario of the product."""
        return _median(self.ratios(self.key(scenario), self.key(other), lambda sample: sample.cpu_ms))

    def p50_ratio(self, scenario: str, floor: str, *, connections: int) -> float | None:
        """The median ratio of the median latency to that of a scenario of the REST framework floor."""
        mine = self.key(scenario, connections=connections)
        other = self.key(floor, "DRF view", connections=connections)
        return _median(self.ratios(mine, other, lambda sample: sample.p50_ms))

    def sizes(self, scenario: str) -> list[int]:
        """The sizes at which a scenario of the product was measured, the smallest first."""
        return sorted(
            key.vouchers
            for key in self.samples
            if key == Key(scenario, PRODUCT, MAIN.connections, MAIN.keep_alive, key.vouchers)
        )

    def growth(self, scenario: str) -> float | None:
        """CPU per request at the largest size against that at the smallest; None with one size only."""
        sizes = self.sizes(scenario)
        if len(sizes) < 2:
            return None
        smallest, largest = (Key(scenario, PRODUCT, 8, True, size) for size in (sizes[0], sizes[-1]))
        return _median(self.ratios(largest, smallest, lambda sample: sample.cpu_ms))

    def raw(self) -> dict[str, Any]:
        """All of it, for a file of JSON."""
        return {
            "machine": self.machine,
            "vouchers": self.vouchers,
            "facts": self.facts,
            "gate": self.gate,
            "notes": self.notes,
            "failures": self.failures,
            "samples": [
                {**asdict(key), "round": number, **asdict(sample)} for key, number, sample in self._all()
            ],
        }

    def _all(self) -> Iterator[tuple[Key, int, Sample]]:
        for key, rounds in self.samples.items():
            for number, sample in rounds.items():
                yield key, number, sample


def read(raw: dict[str, Any]) -> Results:
    """The results that `raw()` gave."""
    results = Results(
        vouchers=raw["vouchers"],
        failures=raw["failures"],
        notes=raw["notes"],
        gate=raw["gate"],
        facts=raw["facts"],
        machine=raw["machine"],
    )
    for row in raw["samples"]:
        key = Key(**{name: row[name] for name in Key.__dataclass_fields__})
        sample = Sample(**{name: row[name] for name in Sample.__dataclass_fields__})
        results.add(key, row["round"], sample)
    return results


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
