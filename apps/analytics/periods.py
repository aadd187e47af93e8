"""Stretches of days to report on, in the project's time zone."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from django.utils import timezone

DEFAULT_DAYS: Final = 30
MOST_DAYS: Final = 366
EARLIEST: Final = date(1970, 1, 1)
LATEST: Final = date(9998, 12, 31)  # its end still is a datetime, in any time zone


@dataclass(frozen=True)
class Period:
    """The local dates from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def length(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    @property
    def days(self) -> list[date]:
        """Every date of the period, in order."""
        return [self.first + timedelta(days=number) for number in range(self.length)]

    @property
    def start(self) -> datetime:
        """The first moment of the period."""
        return start_of(self.first)

    @property
    def end(self) -> datetime:
        """The first moment after the period."""
        return start_of(self.last + timedelta(days=1))

    def clamp(self, day: date) -> date:
        """The date of the period that is nearest to `day`."""
        return min(max(day, self.first), self.last)


ALL_DAYS: Final = Period(EARLIEST, LATEST)


def days_until(last: date, number: int = DEFAULT_DAYS) -> Period:
    """The period of so many days that ends with `last`."""
    return Period(last - timedelta(days=number - 1), last)


def start_of(day: date) -> datetime:
    """The first moment of a local day."""
    return datetime.combine(day, time.min, timezone.get_default_timezone())
