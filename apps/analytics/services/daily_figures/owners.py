"""Owners of so much that their own figures are counted apart, as those of the platform are."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum

from apps.analytics.models import CountedOwner, FiguresState
from apps.analytics.periods import ALL_DAYS, EARLIEST, start_of
from apps.analytics.selectors.coverage import coverage_of
from apps.analytics.selectors.rows import Books
from apps.core.prepared_queries import count_subquery
from apps.core.snapshots import snapshot
from apps.vouchers.models import Voucher

from .counting import Sums, figures_until
from .state import locked_state

# So much is counted at each visit in less time than it takes to read the roll-up.
MOST_VOUCHERS: Final = 200
MOST_USES: Final = 1000


def owners_to_count(among: Iterable[int] | None = None) -> list[int]:
    """The ids of owners, of all or among these, with too much to count it at each visit."""
    vouchers = Voucher.objects.order_by()
    if among is not None:
        vouchers = vouchers.filter(user__in=list(among))
    of_owners = vouchers.values_list("user").annotate(
        number=Count("pk"), uses=Sum(F("total_uses") - F("uses_remaining") + F("uses_reversed"))
    )
    large = of_owners.filter(Q(number__gt=MOST_VOUCHERS) | Q(uses__gt=MOST_USES))
    with snapshot():  # of all vouchers, it takes longer than a request may
        counted = set(CountedOwner.objects.values_list("owner", flat=True))
        return [owner for owner, *_ in large if owner not in counted]


def count_owners(owners: Iterable[int]) -> None:
    """Count the figures of these owners apart from now on."""
    for owner in owners:
        with locked_state() as state:
            if not CountedOwner.objects.get_or_create(owner_id=owner)[1]:
                continue
            ranges = coverage_of(ALL_DAYS).ranges
            books = Books(by_owner=CountedOwner.objects.filter(owner=owner).order_by().values("owner"))
            if ranges:
                Sums(figures_until(books, ranges, state.counted_until)).insert()
            count_owned_vouchers(CountedOwner.objects.filter(owner=owner), state.counted_until)


def count_owned_vouchers(owners: QuerySet[CountedOwner], until: datetime) -> None:
    """Note how many vouchers each of these owners has of those issued before `until`. The caller locks the state."""
    owners.update(vouchers=count_subquery(_issued_before(until)), vouchers_until=until)


def owners_with_more(until: datetime) -> QuerySet[CountedOwner]:
    """The owners who got vouchers since theirs were counted, but before `until`, or whose were not yet."""
    more = _issued_before(until).filter(purchase_date__gte=OuterRef("vouchers_until"))
    return CountedOwner.objects.filter(Q(vouchers=None) | Exists(more))


def _issued_before(until: datetime) -> QuerySet[Voucher]:
    return Voucher.objects.filter(user=OuterRef("owner"), purchase_date__lt=until)


@transaction.atomic
def forget_owners(owners: Collection[int]) -> None:
    """Have the figures of these owners counted at each visit again, as their vouchers are about to change hands.

    In the transaction of that change, and alone with the roll-up until it ends: no counting sees half of it. The next
    counting after it counts them apart anew.
    """
    # Where there is no roll-up, the row of one without a time zone, which the first counting waits for and begins anew.
    nothing_counted = {"counted_until": start_of(EARLIEST), "time_zone": ""}
    FiguresState.objects.select_for_update().get_or_create(pk=1, defaults=nothing_counted)
    CountedOwner.objects.filter(owner__in=owners).delete()
