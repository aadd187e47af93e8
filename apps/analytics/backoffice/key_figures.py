"""Figures that stand in a row at the top of a page, each beside what it was before."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from apps.analytics.selectors import MetricsReport, Obligations, figures_of
from apps.core.money import format_amount

from .period_picker import Selection

ZERO: Final = Decimal("0.00")
# A change that is larger says no more than "many times".
MOST_PERCENT: Final = 999


@dataclass(frozen=True)
class KeyFigure:
    """A figure in words. `change` is against the period before, "" where there is none; `mood` is good, bad or ""."""

    title: str
    value: str
    note: str = ""
    change: str = ""
    mood: str = ""


def number_figure(
    title: str, now: int, before: int | None, *, note: str = "", is_good: bool | None = True
) -> KeyFigure:
    """A number. `is_good` says whether more of it is good news; None: neither is."""
    return KeyFigure(title, f"{now:,}", note, *_change(now, before, is_good))


def money_figure(
    title: str,
    now: Decimal,
    before: Decimal | None,
    currency: str,
    *,
    note: str = "",
    is_good: bool | None = True,
) -> KeyFigure:
    """An amount, as number_figure."""
    return KeyFigure(title, format_amount(now, currency), note, *_change(now, before, is_good))


def report_before(selection: Selection, now: datetime) -> MetricsReport | None:
    """The figures of the period before that of a page; None where the calendar has none."""
    before = selection.period_before
    if before is None:
        return None
    return figures_of(period=before, now=now, currency=selection.currency)


def obligations_in(owed: list[Obligations], currency: str) -> Obligations:
    """The obligations that are in a currency."""
    return next(
        (each for each in owed if each.currency == currency),
        Obligations(currency, ZERO, ZERO, ZERO, ZERO),
    )


def _change(now: Decimal | int, before: Decimal | int | None, is_good: bool | None) -> tuple[str, str]:
    if before is None or (not before and not now):
        return "", ""
    if not before:
        return "none before", ""
    percent = round(Fraction(now - before) * 100 / Fraction(before), 1)
    if not percent:
        return "±0 %", ""
    sign = "+" if percent > 0 else "\N{MINUS SIGN}"
    size = f"{float(abs(percent)):,.1f}" if abs(percent) <= MOST_PERCENT else f"over {MOST_PERCENT}"
    mood = "" if is_good is None else "good" if (percent > 0) == is_good else "bad"
    return f"{sign}{size} %", mood
