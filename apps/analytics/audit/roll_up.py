"""Rules on the roll-up: with what happened since it was counted, it is what the rows add up to, day by day."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from django.db.models import F, OuterRef

from apps.analytics.models import CountedOwner, DailyFigures, OwnerDailyFigures
from apps.analytics.periods import ALL_DAYS
from apps.analytics.selectors.changes import (
    all_counted_returns,
    changed_returns,
    changed_vouchers,
    return_differences,
    returns_in,
    status_now,
)
from apps.analytics.selectors.coverage import Coverage, coverage_of
from apps.analytics.selectors.live import additions
from apps.analytics.selectors.metrics import MONEY, NAMES, OF_OWNER, cents
from apps.analytics.selectors.rows import Books, all_figures, local_day, read, within
from apps.analytics.services.daily_figures.counting import Sums
from apps.core.prepared_queries import count_subquery
from apps.vouchers.models import Voucher

from .rule import MAX_LISTED, Finding, Rule, rule


def _check(now: datetime) -> Finding:
    coverage = coverage_of(ALL_DAYS)
    notes: list[str] = []
    if coverage.since is not None and coverage.counted:
        notes += _differences(Books(), DailyFigures, NAMES, coverage, now)
        owners = CountedOwner.objects.order_by().values("owner")
        notes += _differences(Books(by_owner=owners), OwnerDailyFigures, OF_OWNER, coverage, now)
    return Finding(len(notes), notes=notes[:MAX_LISTED])


def _differences(
    books: Books, model: Any, names: Sequence[str], coverage: Coverage, now: datetime
) -> Iterator[str]:
    """Each figure of a day, type and currency that is not what the rows add up to."""
    assert coverage.since is not None
    new = additions(books, coverage.ranges, coverage.ranges_since, coverage.since, now)
    rolled_up = Sums(chain(read(*new), return_differences(books, coverage)))
    for row in model.objects.values(*books.owner_key, "day", "voucher_type", "currency", *names):
        rolled_up.add({**row, "type_id": row["voucher_type"]})
    counted = Sums(read(*all_figures(books, coverage.ranges, now)))
    for key in sorted(rolled_up.by_key.keys() | counted.by_key.keys(), key=str):
        ours, theirs = (sums.by_key.get(key, {}) for sums in (rolled_up, counted))
        for name in names:
            shown, right = (
                cents(sums.get(name)) if name in MONEY else sums.get(name) for sums in (ours, theirs)
            )
            if (shown or 0) != (right or 0):
                owner, day, type_id, currency = key
                whose = f"owner {owner}, " if owner else ""
                yield f"{whose}{day}, type {type_id}, {currency}, {name}: rolled up {shown}, counted {right}"


@rule(
    "vouchers_noted",
    "The roll-up has noted of each voucher how it counted it, and that is how the voucher is unless it changed since."
    " If not: manage.py rebuild_daily_figures.",
    "voucher",
)
def vouchers_noted(now: datetime) -> Iterable[Any]:
    coverage = coverage_of(ALL_DAYS)
    if coverage.since is None or not coverage.counted:
        return
    counted = Voucher.objects.filter(within("purchase_date", coverage.ranges))
    same = {
        "counted__uses_remaining": F("uses_remaining"),
        "counted__expires_on": local_day("expiry_date"),
        "counted__status": status_now(now),
    }
    unchanged = counted.exclude(pk__in=changed_vouchers(coverage.since, now))
    yield unchanged.filter(counted__isnull=True)
    yield unchanged.filter(counted__isnull=False).exclude(**same)


def _check_returns(now: datetime) -> Finding:
    coverage = coverage_of(ALL_DAYS)
    if coverage.since is None or not coverage.counted:
        return Finding()
    changed = changed_returns(coverage.since)
    noted, right = (
        {each for each in returns if coverage.has(each.day) and each.transaction_id not in changed}
        for returns in (all_counted_returns(), returns_in(coverage.ranges))
    )
    ids = sorted({each.transaction_id for each in noted ^ right})
    return Finding(len(ids), ids[:MAX_LISTED])


@rule(
    "owned_vouchers",
    "The number of vouchers that is kept of an owner is that of the rows. If not: manage.py rebuild_daily_figures.",
    "user",
)
def owned_vouchers(now: datetime) -> Iterable[Any]:
    issued = Voucher.objects.filter(user=OuterRef("owner"), purchase_date__lt=OuterRef("vouchers_until"))
    yield CountedOwner.objects.exclude(vouchers=None).exclude(vouchers=count_subquery(issued))


RULES = (
    vouchers_noted,
    owned_vouchers,
    Rule(
        "returns_noted",
        "The roll-up has noted what went back of each transaction, and that is what did unless it changed since."
        " If not: manage.py rebuild_daily_figures.",
        "transaction",
        _check_returns,
    ),
    Rule(
        "daily_figures",
        "The roll-up of daily figures, with what happened since, is the sum over the rows, for each day."
        " If not: manage.py rebuild_daily_figures.",
        "figure",
        _check,
    ),
)
