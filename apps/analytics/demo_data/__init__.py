"""A believable history for a database that has none: people, purchases, uses and returns, with the books in order.

The rows are those that the services would have written at their times, and are written at once. The same seed gives the
same history, but for the codes of the vouchers, which nobody must be able to predict.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Final

from django.db import transaction
from django.utils import timezone

from apps.analytics.models import FiguresState
from apps.core.dates import end_of_day, start_of_day
from apps.payments.models import Transaction
from apps.payments.services import issue_missing_receipts
from apps.users.models import User
from apps.vouchers.models import Batch, RefusalCount, Voucher

from . import catalogue, refusals, rhythm, schools
from .people import DOMAIN, People
from .purchases import Purchases
from .rows import Rows

DAYS_IN_MONTH: Final = 30
PURCHASES: Final = 1.1  # of a person in a month
RESULTS_TYPE: Final = 0  # place of the type that schools get, in the order of the catalogue


class NotEmpty(Exception):
    """There are payments, batches or vouchers that are no demo data."""


@dataclass(frozen=True)
class Summary:
    """How many rows of each kind there are."""

    people: int
    purchases: int
    vouchers: int
    redemptions: int
    refunds: int
    disputes: int


def exists() -> bool:
    """Whether the database has demo data."""
    return User.objects.filter(email__endswith=f"@{DOMAIN}").exists()


@transaction.atomic
def create(
    *,
    users: int,
    months: int,
    seed: int,
    until: date,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> Summary:
    """Write a history of so many buyers and months (of 30 days), which ends with the local day `until`.

    Nothing in it is later than now. `on_progress` is called with the number of rows of each portion that is written.
    Raises NotEmpty.
    """
    if any(model._default_manager.exists() for model in (Transaction, Batch, Voucher)):
        raise NotEmpty
    # Of before there were vouchers: attempts, and a roll-up that takes what happened until then for counted.
    RefusalCount.objects.all().delete()
    FiguresState.objects.all().delete()
    rows = _history(users, months, seed, until)
    rows.write(on_progress)
    for number in issue_missing_receipts():
        on_progress(number)
    return Summary(
        people=len(rows.users),
        purchases=len(rows.transactions),
        vouchers=len(rows.vouchers),
        redemptions=len(rows.usages),
        refunds=len(rows.refunds),
        disputes=len(rows.disputes),
    )


def _history(users: int, months: int, seed: int, until: date) -> Rows:
    rows, types = Rows(), catalogue.create_types()
    first = until - timedelta(days=months * DAYS_IN_MONTH - 1)
    start, end = start_of_day(first), min(end_of_day(until), timezone.now())
    # What is drawn of the people and the days does not depend on the hour of today at which it is drawn.
    people = People(_random(seed, "people"), users, start, end_of_day(until))
    rows.users = [user for user in people.users() if user.date_joined <= end]
    for index, school in enumerate(people.schools):
        random = _random(seed, f"school {index}")
        day = first + timedelta(days=random.randrange(max(1, (until - first).days * 3 // 4)))
        schools.add_batch(rows, people, random, school, types[RESULTS_TYPE], day, end)
    purchases = Purchases(rows, people, types, end)
    number = round(users * months * PURCHASES)
    for index, moment in enumerate(rhythm.moments(_random(seed, "rhythm"), first, until, number)):
        purchases.add(_random(seed, f"purchase {index}"), moment)
    _close_accounts(rows, people, seed, end)
    rows.usages.sort(key=lambda usage: usage.used_at)
    rows.refusals = refusals.make_refusals(_random(seed, "refusals"), rows.usages)
    return rows


def _close_accounts(rows: Rows, people: People, seed: int, end: datetime) -> None:
    """Erase what closed accounts wrote, as far as it is kept with the books."""
    closed = {id(user) for user in people.close(_random(seed, "closed accounts"), end)}
    for refund in rows.refunds:
        if id(refund.requested_by) in closed:
            refund.reason = refund.notes = ""


def _random(seed: int, part: str) -> Random:
    """Chance of its own for each part, so that one that is left out changes no other."""
    return Random(f"{seed} {part}")  # noqa: S311 - nothing is kept secret by it
