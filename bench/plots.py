"""Plots as SVG, written by hand: two kinds are all that is needed, and no library for them."""

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Final

WIDTH: Final = 860
LABEL: Final = 230  # for the names at the left
ROW: Final = 26
COLOURS: Final = ("#1f6f54", "#c4632a", "#7a7f87", "#3b6ea8", "#a43d5c", "#8a7a1f", "#5b4a9c")
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#333}.small{font-size:11px;fill:#666}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.small{fill:#aaa}}"
)


def bars(
    title: str, groups: Sequence[tuple[str, Sequence[float | None]]], series: Sequence[str], unit: str
) -> str:
    """Bars on a logarithmic axis: a group of them for each name, one for each of `series`; None is left out."""
    values = [value for _, row in groups for value in row if value]
    low, high = _decades(values)
    height_of_group = ROW * 0.55 * len(series) + 12
    height = 70 + height_of_group * len(groups) + 20
    parts = [_legend(series)]

    def x(value: float) -> float:
        return LABEL + (log10(value) - low) / (high - low) * (WIDTH - LABEL - 70)

    top = 70.0
    parts += _axis([10.0**power for power in range(low, high + 1)], x, top - 6, height - 20)
    for name, row in groups:
        parts.append(
            f'<text x="{LABEL - 8}" y="{top + height_of_group / 2 - 2:.1f}" text-anchor="end">{escape(name)}</text>'
        )
        for number, value in enumerate(row):
            if not value:
                continue
            y = top + number * ROW * 0.55
            parts.append(
                f'<rect x="{LABEL}" y="{y:.1f}" width="{max(x(value) - LABEL, 1):.1f}" height="{ROW * 0.5:.1f}"'
                f' fill="{COLOURS[number]}"/>'
                f'<text class="small" x="{x(value) + 4:.1f}" y="{y + 10:.1f}">{_number(value)}{escape(unit)}</text>'
            )
        top += height_of_group
    return _svg(title, height, parts)


def lines(
    title: str, xs: Sequence[float], rows: Sequence[tuple[str, Sequence[float | None]]], unit: str
) -> str:
    """A line for each name over a logarithmic axis; `rows` have a value for each of `xs`, None is left out."""
    height, bottom, top = 420, 380.0, 90.0
    values = [value for _, row in rows for value in row if value]
    highest = max(values, default=1.0) * 1.1
    low, high = log10(min(xs)), log10(max(xs)) or 1
    span = (high - low) or 1
    parts = [_legend([name for name, _ in rows])]

    def x(value: float) -> float:
        return 70 + (log10(value) - low) / span * (WIDTH - 140)

    def y(value: float) -> float:
        return bottom - value / highest * (bottom - top)

    for one in xs:
        parts.append(
            f'<text class="small" x="{x(one):.1f}" y="{bottom + 18}" text-anchor="middle">{one:,.0f}</text>'
        )
    for share in (0, 0.25, 0.5, 0.75, 1):
        level = highest * share
        parts.append(
            f'<line x1="70" x2="{WIDTH - 70}" y1="{y(level):.1f}" y2="{y(level):.1f}" stroke="#8884"/>'
            f'<text class="small" x="62" y="{y(level) + 4:.1f}" text-anchor="end">{_number(level)}{escape(unit)}</text>'
        )
    for number, (_, row) in enumerate(rows):
        points = [(x(one), y(value)) for one, value in zip(xs, row, strict=True) if value]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
    return _svg(title, height, parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around all values."""
    low, high = (int(log10(f(values, default=1.0)) // 1) for f in (min, max))
    return low, high + 1


def _axis(marks: Sequence[float], x: object, top: float, bottom: float) -> list[str]:
    assert callable(x)
    return [
        f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="#8884"/>'
        f'<text class="small" x="{x(mark):.1f}" y="{bottom + 14:.1f}" text-anchor="middle">{_number(mark)}</text>'
        for mark in marks
    ]


def _legend(series: Sequence[str]) -> str:
    parts, left, top = [], 20.0, 40
    for number, name in enumerate(series):
        width = 30 + 6.4 * len(name)
        if left + width > WIDTH:  # a second row
            left, top = 20.0, top + 18
        parts.append(
            f'<rect x="{left:.0f}" y="{top}" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>'
            f'<text class="small" x="{left + 17:.0f}" y="{top + 10}">{escape(name)}</text>'
        )
        left += width
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n'
        f"<title>{escape(title)}</title><style>{STYLE}</style>\n"
        f'<text x="20" y="24" font-weight="600">{escape(title)}</text>\n{body}\n</svg>\n'
    )
