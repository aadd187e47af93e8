"""Charts for unfold's bundled Chart.js: what they show, and axes that say what they count and in which unit."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from apps.analytics.selectors import DayFigures
from apps.core.dates import zone_name

MOST_BARS: Final = 92  # days that are shown one by one; of more, weeks are
DAYS_IN_WEEK: Final = 7
COLOURS: Final = ("var(--color-primary-600)", "var(--color-base-400)", "var(--color-primary-300)")
GREY: Final = "#9ca3af"  # unfold's own for text in charts, readable on light and dark


@dataclass(frozen=True)
class Series:
    """Values of one kind, such as those of each day."""

    name: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Chart:
    """A chart: its title, and what Chart.js takes, as JSON. `summary` says in words what it shows."""

    title: str
    summary: str
    kind: str
    data: str
    options: str
    height: int


@dataclass(frozen=True)
class Span:
    """Some days in a row, which are one place of the axis."""

    label: str
    days: Sequence[DayFigures]


def spans_of(days: Sequence[DayFigures]) -> list[Span]:
    """The days one by one; of more than MOST_BARS, weeks from the first day on, the last of which may be shorter."""
    step = 1 if len(days) <= MOST_BARS else DAYS_IN_WEEK
    return [Span(_label(days[start].date), days[start : start + step]) for start in range(0, len(days), step)]


def time_axis(spans: Sequence[Span]) -> str:
    """What the axis of these spans is."""
    what = "Day" if all(len(span.days) == 1 for span in spans) else "Week that begins on"
    return f"{what}, {zone_name()} time"


def chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    x_title: str,
    y_title: str,
    kind: str = "bar",
    is_horizontal: bool = False,
    height: int = 280,
) -> Chart:
    """A chart of bars or lines; `y_title` is what is counted, with its unit. Horizontal bars swap the axes."""
    datasets = [
        {
            "label": each.name,
            "data": [str(value) for value in each.values],
            "backgroundColor": colour,
            "borderColor": colour,
            "borderRadius": 4,
            "borderWidth": 2 if kind == "line" else 0,
            "maxBarThickness": 28,
            # A line through a single day would not be seen.
            "pointRadius": 3 if len(labels) == 1 else 0,
        }
        for each, colour in zip(series, COLOURS, strict=False)
    ]
    options = {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "indexAxis": "y" if is_horizontal else "x",
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {
            "legend": {
                "display": len(series) > 1,
                "align": "end",
                "labels": {"color": GREY, "boxHeight": 5, "boxWidth": 5, "usePointStyle": True},
            }
        },
        "scales": {
            "x": _axis(y_title if is_horizontal else x_title, is_number=is_horizontal),
            "y": _axis(x_title if is_horizontal else y_title, is_number=not is_horizontal),
        },
    }
    return Chart(
        title=title,
        summary=f"{title}. {y_title}{' by: ' if x_title else ''}{x_title}.",
        kind=kind,
        data=json.dumps({"labels": list(labels), "datasets": datasets}),
        options=json.dumps(options),
        height=height,
    )


def _axis(title: str, *, is_number: bool) -> dict[str, Any]:
    ticks: dict[str, Any] = (
        {"color": GREY, "precision": 0} if is_number else {"color": GREY, "autoSkip": True}
    )
    return {
        "beginAtZero": True,
        "title": {"display": bool(title), "text": title, "color": GREY},
        "ticks": {**ticks, "maxRotation": 0},
        "grid": {"display": is_number, "tickWidth": 0},
        "border": {"width": 0},
    }


def _label(day: date) -> str:
    return f"{day:%b} {day.day}"
