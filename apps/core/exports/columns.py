"""The columns of a table: what stands in them, and how a header says so."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from django.db.models.expressions import Combinable
from django.utils import timezone

from apps.core.dates import zone_name


class Kind(Enum):
    """What the cells of a column are, and so how a file writes them. Each may also be empty (None)."""

    TEXT = auto()  # str
    INTEGER = auto()  # int
    AMOUNT = auto()  # Decimal, with as many places as its currency has
    MOMENT = auto()  # an aware datetime, written as local time
    DAY = auto()  # date


Source = str | Combinable | Callable[[datetime], Combinable]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    `source` is where the database has it: a field's path, an expression, or a function of the moment of the export
    that gives one; None, where the rows come from elsewhere. `convert` gets the value, if there is one, and returns
    what stands in the cell. In `free_text`, which people wrote, secrets are masked.
    """

    title: str
    source: Source | None = None
    kind: Kind = Kind.TEXT
    convert: Callable[[Any], Any] | None = None
    free_text: bool = False

    @property
    def header(self) -> str:
        """The title, for times and days with the time zone in which they are read."""
        local = self.kind in (Kind.MOMENT, Kind.DAY)
        return f"{self.title} ({zone_name()})" if local else self.title


def utc_offset(moment: datetime) -> str:
    """How far local time was from UTC at a moment, such as UTC-05:00: in autumn an hour comes twice."""
    return _offset_name(moment.astimezone(timezone.get_current_timezone()).utcoffset())


@lru_cache(64)
def _offset_name(offset: timedelta | None) -> str:
    sign, distance = ("-", -offset) if offset and offset < timedelta(0) else ("+", offset or timedelta(0))
    hours, minutes = divmod(distance // timedelta(minutes=1), 60)
    return f"UTC{sign}{hours:02}:{minutes:02}"


def moment_columns(title: str, source: str) -> tuple[Column, Column]:
    """A local time, and beside it its distance from UTC, by which it is a moment."""
    return (
        Column(title, source, Kind.MOMENT),
        Column(f"{title}, offset", source, convert=utc_offset),
    )
