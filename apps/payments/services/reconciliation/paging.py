"""Going through long lists at Stripe: page by page, a day at a time, and patiently."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from apps.payments.errors import PaymentProviderUnavailable, RateLimited

Item = TypeVar("Item")

PAGE: Final = 100
BACK_OFF: Final = (1.0, 4.0)  # seconds before a call is tried again
SPAN: Final = timedelta(days=1)  # compared at once, which bounds what is kept in memory
SECOND: Final = timedelta(seconds=1)


def patiently(call: Callable[[], Item]) -> Item:
    """Call Stripe, and again after a while when it does not answer or has too much to do, or when it says."""
    for wait in BACK_OFF:
        try:
            return call()
        except RateLimited as error:
            time.sleep(max(wait, error.retry_after))
        except PaymentProviderUnavailable:
            time.sleep(wait)
    return call()


def spans(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The time between in parts, each without its end. The last ends a second later, and so has `until` in it."""
    while until - since > SPAN:
        yield since, since + SPAN
        since += SPAN
    yield since, until + SECOND


def pages(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items, so many at a time."""
    iterator = iter(items)
    while page := list(islice(iterator, PAGE)):
        yield page
