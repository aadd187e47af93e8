"""When people buy: more on weekdays, by day and in the evening, and most of all when results come out."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from django.utils import timezone

RESULTS: Final = ((1, 20), (3, 16), (5, 18), (7, 8), (8, 14), (10, 5), (11, 26))  # month and day
PEAK: Final = (7.0, 4.0, 2.5, 1.6)  # times the usual, on a results day and those after it
WEEKDAYS: Final = (1.15, 1.1, 1.05, 1.0, 1.1, 0.7, 0.5)  # from Monday
HOURS: Final = (1, 1, 0, 0, 0, 1, 3, 6, 10, 12, 12, 11, 9, 9, 10, 10, 11, 11, 10, 12, 13, 10, 6, 3)


def results_peak(day: date) -> float:
    """How many times the usual is bought that day because results came out lately; 1 on other days."""
    for age, times in enumerate(PEAK):
        before = day - timedelta(days=age)
        if (before.month, before.day) in RESULTS:
            return times
    return 1.0


def moments(random: Random, first: date, last: date, number: int) -> Iterator[datetime]:
    """So many moments, in the order of time, on local days from the first to the last, both included."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    growth = [0.6 + 0.4 * n / len(days) for n in range(len(days))]
    weights = [
        WEEKDAYS[day.weekday()] * results_peak(day) * share for day, share in zip(days, growth, strict=True)
    ]
    for day in sorted(random.choices(days, weights, k=number)):
        yield moment_on(random, day)


def moment_on(random: Random, day: date) -> datetime:
    """A time of that local day when people are awake."""
    (hour,) = random.choices(range(24), HOURS)
    local = datetime.combine(day, time(hour, random.randrange(60), random.randrange(60)))
    return timezone.make_aware(local)
