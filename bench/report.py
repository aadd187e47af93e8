"""What a run says: a table for the terminal, and the measured part of docs/performance.md with its plots."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from . import baseline, pgbench, plots
from .goals import GOALS, GROWTH
from .load import Load, Sample
from .opponents import FLOORS, PRODUCT, A, B
from .processes import PROJECT
from .results import Key, Results
from .rounds import VARIANTS
from .scenarios import BY_NAME, FLOOR_SCENARIOS, SCENARIOS

PAGE: Final = PROJECT / "docs/performance.md"
RATES_PLOT: Final = "performance-rates.svg"
GROWTH_PLOT: Final = "performance-growth.svg"
BEGIN: Final = "<!-- measured: begin; written by make bench -->"
END: Final = "<!-- measured: end -->"
HEAD: Final = ("", "requests/s", "p50 ms", "p99 ms", "CPU ms: web", "PostgreSQL", "statements", "bytes")

Table = list[tuple[str, ...]]


def terminal(results: Results) -> str:
    """The tables, goals and changes, as plain text."""
    parts = [*results.gate, "", _plain(main_table(results)), _plain(twin_table(results))]
    parts += [
        _plain(floor_table(results)),
        _plain(variant_table(results)),
        _plain(growth_table(results)),
        _plain(goal_table(results)),
    ]
    parts += [*changes(results), *results.notes, *(f"FAILED: {line}" for line in results.failures)]
    return "\n".join(part for part in parts if part is not None)


def write_page(results: Results, page: Path = PAGE) -> None:
    """Write the measured part of the page, between its markers, and the plots beside it."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{measured(results)}\n\n{END}{after}")
    page.with_name(RATES_PLOT).write_text(_rates_plot(results))
    if len(_sizes(results)) > 1:
        page.with_name(GROWTH_PLOT).write_text(_growth_plot(results))


def measured(results: Results) -> str:
    """The measured part of the page, in Markdown."""
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    parts = [
        f"Measured: {machine}. {results.vouchers:,} vouchers, eight connections, medians of the rounds.",
        "**The gate**, over HTTP, before any figure: " + " ".join(results.gate),
        f"![Requests a second]({RATES_PLOT})",
        "### Endpoints\n\n" + _markdown(main_table(results)),
        "### The textbook twin\n\n" + _markdown(twin_table(results)),
        "### Floors\n\n" + _markdown(floor_table(results)),
    ]
    if variants := variant_table(results)[1:]:
        parts.append(
            "### Other numbers of connections\n\n" + _markdown([variant_table(results)[0], *variants])
        )
    if growth := growth_table(results)[1:]:
        parts.append(
            f"### Growth\n\n![CPU per request by the number of vouchers]({GROWTH_PLOT})\n\n"
            + _markdown([growth_table(results)[0], *growth])
        )
    parts.append("### Goals\n\n" + _markdown(goal_table(results)))
    lines = [*changes(results), *results.notes, *(f"Failed: {line}" for line in results.failures)]
    if lines:
        parts.append("### Notes\n\n" + "\n".join(f"* {_one_line(line)}" for line in lines))
    return "\n\n".join(parts)


def changes(results: Results) -> list[str]:
    """What changed since the baseline."""
    earlier = baseline.read()
    if earlier is None:
        return ["There is no baseline yet."]
    return list(baseline.changes(results, earlier)) or [
        "Against the baseline nothing changed beyond the noise."
    ]


def main_table(results: Results) -> Table:
    """Each endpoint of the product, and how it stands against the twins."""
    rows: Table = [(*HEAD, "against B", "against A", "CPU against B")]
    for scenario in SCENARIOS:
        if scenario.name in FLOOR_SCENARIOS:
            continue
        key = results.key(scenario.name)
        if key not in results.samples:
            continue
        cpu = results.ratios(key, results.key(scenario.name, B), lambda sample: sample.cpu_ms)
        rows.append(
            (
                scenario.title,
                *_figures(results, key),
                _times(results.ratio(scenario.name, B)),
                _times(results.ratio(scenario.name, A)),
                _times(sorted(cpu)[len(cpu) // 2] if cpu else None),
            )
        )
    return rows


def twin_table(results: Results) -> Table:
    """The same endpoints of the textbook twin."""
    rows: Table = [HEAD]
    for scenario in SCENARIOS:
        for name in (B, A):
            key = results.key(scenario.name, name)
            if key in results.samples:
                rows.append((f"{name}: {scenario.title}", *_figures(results, key)))
    return rows


def floor_table(results: Results) -> Table:
    """The floors: what less work would take."""
    rows: Table = [HEAD]
    for name in FLOOR_SCENARIOS:
        key = next((key for key in results.samples if key.scenario == name and key.connections == 8), None)
        if key and key.opponent in FLOORS:
            rows.append((BY_NAME[name].title, *_figures(results, key)))
    titles = {"pgbench-1": "one connection", "pgbench-8": "eight", "pgbench-hot": "eight on one row"}
    for name, connections, _ in pgbench.KINDS:
        key = Key(name, "pgbench", connections, True, results.vouchers)
        if key in results.samples:
            rate, p50, _, _, cpu, *_ = _figures(results, key)
            rows.append((f"pgbench, the redeem statement, {titles[name]}", rate, p50, "", "", cpu, "1", ""))
    return rows


def variant_table(results: Results) -> Table:
    """The same at other numbers of connections, and with a connection for each request."""
    rows: Table = [(*HEAD, "against B")]
    for scenario in SCENARIOS:
        for load in VARIANTS:
            for name in (PRODUCT, *FLOORS):
                key = _variant(results, scenario.name, name, load)
                if key in results.samples:
                    ratios = results.ratios(key, _variant(results, scenario.name, B, load))
                    how = f"{load.connections} connection{'s' * (load.connections > 1)}"
                    how += "" if load.keep_alive else ", one a request"
                    middle = sorted(ratios)[len(ratios) // 2] if ratios else None
                    rows.append((f"{scenario.title}: {how}", *_figures(results, key), _times(middle)))
    return rows


def growth_table(results: Results) -> Table:
    """CPU per request at each size."""
    sizes = _sizes(results)
    if len(sizes) < 2:
        return [("CPU ms per request",)]
    rows: Table = [("CPU ms per request", *(f"{size:,} vouchers" for size in sizes), "largest / smallest")]
    for name in GROWTH:
        values = [_cpu(results, name, size) for size in sizes]
        if any(values):
            cells = [f"{value:.2f}" if value else "" for value in values]
            rows.append((BY_NAME[name].title, *cells, _times(results.growth(name))))
    return rows


def goal_table(results: Results) -> Table:
    """Each goal, the figure, and whether it is met."""
    rows: Table = [("goal", "bound", "aim", "measured", "")]
    for goal in GOALS:
        value = goal.figure(results)
        if value is not None:
            sign = "≤" if goal.at_most else "≥"
            rows.append(
                (goal.title, f"{sign} {goal.must:g}", f"{goal.aim:g}", f"{value:.2f}", goal.verdict(value))
            )
    return rows


def _variant(results: Results, scenario: str, opponent: str, load: Load) -> Key:
    return results.key(scenario, opponent, connections=load.connections, keep_alive=load.keep_alive)


def _figures(results: Results, key: Key) -> tuple[str, ...]:
    def median(name: str, digits: int) -> str:
        def figure(sample: Sample) -> float:
            return float(getattr(sample, name))

        value = results.median(key.scenario, figure, key)
        return "" if value is None else f"{value:,.{digits}f}"

    columns = (("rps", 0), ("p50_ms", 1), ("p99_ms", 1), ("web_ms", 2), ("postgres_ms", 2))
    return (*(median(*column) for column in columns), median("statements", 1), median("bytes_per_answer", 0))


def _sizes(results: Results) -> list[int]:
    """All sizes at which anything was measured."""
    return sorted({key.vouchers for key in results.samples})


def _cpu(results: Results, scenario: str, size: int) -> float | None:
    key = Key(scenario, PRODUCT, 8, True, size)
    return results.median(scenario, lambda sample: sample.cpu_ms, key)


def _rates_plot(results: Results) -> str:
    groups = []
    for scenario in SCENARIOS:
        keys = [results.key(scenario.name), results.key(scenario.name, B), results.key(scenario.name, A)]
        if scenario.name not in FLOOR_SCENARIOS and keys[0] in results.samples:
            rates = [results.median(scenario.name, lambda sample: sample.rps, key) for key in keys]
            groups.append((scenario.title, rates))
    series = (
        "this application",
        "B: textbook, persistent connections",
        "A: textbook, a connection a request",
    )
    return plots.bars("Requests a second, eight connections (logarithmic)", groups, series, "/s")


def _growth_plot(results: Results) -> str:
    sizes = _sizes(results)
    rows = [(BY_NAME[name].title, [_cpu(results, name, size) for size in sizes]) for name in GROWTH]
    return plots.lines(
        "CPU per request by the number of vouchers", sizes, [row for row in rows if any(row[1])], " ms"
    )


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} ×"


def _plain(table: Table) -> str | None:
    if len(table) < 2:
        return None
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(_aligned(row, widths) for row in table) + "\n"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if number == 0 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()


def _markdown(table: Table) -> str:
    return "\n".join(_markdown_lines(table))


def _markdown_lines(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(table[0])} |"
    yield f"|---|{'---:|' * (len(table[0]) - 1)}"
    for row in table[1:]:
        yield f"| {' | '.join(row)} |"


def _one_line(text: str) -> str:
    return " ".join(text.replace("`", "").replace("|", "/").split())[:400]
