"""A table that can be exported: its columns, the days by which its rows are chosen, and reading it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from django.db.models import F, Model, QuerySet

from apps.core.dates import start_of_day
from apps.core.logs import redact
from apps.core.money import round_to_currency

from .columns import Column, Kind

CHUNK: Final = 2000  # rows that are fetched at a time
EARLIEST: Final = date(1970, 1, 1)
LATEST: Final = date(9998, 12, 31)  # the day after still is one, in any time zone
REMEMBERED: Final = 4096  # texts that often come again, such as names of types


class DaysInvalid(ValueError):
    """These days are no stretch of days by which rows can be chosen."""

    def __init__(self) -> None:
        super().__init__(f"The days are between {EARLIEST} and {LATEST}, the first not after the last.")


@dataclass(frozen=True)
class Days:
    """A choice of rows by day: what happened on the day, in a word, and the field that says when.

    `holds_dates` is for a field that has local days; others have moments.
    """

    name: str
    field: str
    holds_dates: bool = False

    def choose(self, rows: QuerySet[Any], first: date | None, last: date | None) -> QuerySet[Any]:
        """The rows from the start of the local day `first` to the end of `last`; None sets no bound.

        The end is the first moment of the day after, which is not among them: no moment is in two days or in none.
        Raises DaysInvalid.
        """
        if any(day and not EARLIEST <= day <= LATEST for day in (first, last)) or (
            first and last and first > last
        ):
            raise DaysInvalid
        if first:
            rows = rows.filter(**{f"{self.field}__gte": self._start(first)})
        if last:
            rows = rows.filter(**{f"{self.field}__lt": self._start(last + timedelta(days=1))})
        return rows

    def _start(self, day: date) -> date:
        return day if self.holds_dates else start_of_day(day)


@dataclass
class Table:
    """What can be exported of a model. `name` is its rows' plural: the name of file, sheet and command.

    `permission` is "app.codename". The first of `days` is taken where nobody chooses. `currency` is the title of the
    column with the currency of a row's amounts. `order` is an order that an index has.
    """

    name: str
    model: type[Model]
    permission: str
    columns: tuple[Column, ...]
    days: tuple[Days, ...]
    currency: str = "currency"
    order: tuple[str, ...] = ("pk",)

    @property
    def slug(self) -> str:
        """The name as it stands in the name of a file."""
        return self.name.replace(" ", "-")

    @property
    def command(self) -> str:
        """The command that exports it."""
        return f"export_{self.name.replace(' ', '_')}"

    def register_columns(self, *columns: Column) -> None:
        """Add columns that only an app above the table's own knows, in the `ready` of its AppConfig."""
        titles = {column.title for column in self.columns}
        self.columns += tuple(column for column in columns if column.title not in titles)

    def rows(self, queryset: QuerySet[Any], *, at: datetime) -> Iterator[list[Any]]:
        """The cells of each row, in `order`, as of the moment `at`.

        They are fetched in chunks, on PostgreSQL through a cursor: to be read within a transaction.
        """
        names = [f"cell_{number}" for number in range(len(self.columns))]
        sources = {name: _expression(column, at) for name, column in zip(names, self.columns, strict=True)}
        rows = queryset.order_by(*self.order).annotate(**sources).values_list(*names)
        converters = [
            (place, convert)
            for place, column in enumerate(self.columns)
            if (convert := _converter(column)) is not None
        ]
        amounts = [place for place, column in enumerate(self.columns) if column.kind is Kind.AMOUNT]
        titles = [column.title for column in self.columns]
        currency = titles.index(self.currency) if amounts else -1
        for values in rows.iterator(chunk_size=CHUNK):
            row = list(values)
            for place, convert in converters:
                if row[place] is not None:
                    row[place] = convert(row[place])
            for place in amounts:
                if row[place] is not None:
                    row[place] = round_to_currency(Decimal(row[place]), row[currency])
            yield row


def _expression(column: Column, at: datetime) -> Any:
    assert column.source is not None
    if isinstance(column.source, str):
        return F(column.source)
    return column.source(at) if callable(column.source) else column.source


def _converter(column: Column) -> Callable[[Any], Any] | None:
    """What makes the cell of the database's value, if anything does."""
    if column.free_text:
        convert = column.convert or str
        return lru_cache(REMEMBERED)(lambda value: redact(convert(value)))
    return column.convert
