"""The committed baseline: ratios of an earlier run, and what got slower since then by more than the noise.

Ratios against a floor and against B are kept, not seconds: another machine has other seconds, and much the same ratios.
"""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .results import Results

FILE: Final = Path(__file__).with_name("baseline.json")
NOISE: Final = 0.08  # two runs of the same code differ by so much
# Each scenario is held against the nearest floor, and against B.
FLOORS: Final = {
    "types": ("floor-django", "Django view"),
    "redeem": ("floor-redeem", "DRF view"),
    "redeem-hot": ("floor-redeem", "DRF view"),
    "redeem-key": ("floor-redeem", "DRF view"),
    "redeem-limits": ("floor-redeem", "DRF view"),
}
OTHER_FLOOR: Final = ("floor-drf", "DRF view")


def ratios(results: Results) -> dict[str, dict[str, float]]:
    """By scenario and opponent: the median ratio of a run, and how far its rounds lie apart."""
    return {
        name: {"median": statistics.median(values), "spread": _spread(values)}
        for name, values in _all(results)
    }


def write(results: Results, file: Path = FILE) -> None:
    """Make this run the baseline."""
    content = {"machine": results.machine, "vouchers": results.vouchers, "ratios": ratios(results)}
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def read(file: Path = FILE) -> dict[str, Any] | None:
    """The baseline; None if there is none."""
    return json.loads(file.read_text()) if file.exists() else None


def changes(results: Results, baseline: dict[str, Any]) -> Iterator[str]:
    """What got slower or faster by more than the noise of both runs, a line each."""
    if baseline["vouchers"] != results.vouchers:
        yield f"The baseline is of {baseline['vouchers']:,} vouchers, this run of {results.vouchers:,}: not compared."
        return
    for name, now in ratios(results).items():
        before = baseline["ratios"].get(name)
        if before is None:
            continue
        change = now["median"] / before["median"] - 1
        if abs(change) > max(NOISE, now["spread"], before["spread"]):
            word = "slower" if change < 0 else "faster"
            yield f"{word}: {name} is {now['median']:.2f}, was {before['median']:.2f} ({change:+.0%})"


def _all(results: Results) -> Iterator[tuple[str, list[float]]]:
    names = sorted({key.scenario for key in results.samples if key == results.key(key.scenario)})
    for name in names:
        mine = results.key(name)
        floor, opponent = FLOORS.get(name, OTHER_FLOOR)
        for title, other in (("B", results.key(name, "B")), ("floor", results.key(floor, opponent))):
            if values := results.ratios(mine, other):
                yield f"{name} against {title}", values


def _spread(values: list[float]) -> float:
    """Half the distance of the largest and the smallest, as a share of the median."""
    return (max(values) - min(values)) / 2 / statistics.median(values)
