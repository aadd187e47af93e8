"""How far the roll-up goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.analytics.models import (
    ActiveDay,
    ActiveGap,
    CountedDay,
    CountedOwner,
    CountedReturn,
    CountedSignIn,
    CountedVoucher,
    DailyFigures,
    DailyRegistrations,
    ErasedSignIn,
    FiguresState,
    OwnerDailyFigures,
    UnusedValue,
)

# What happened at a moment is in the books so much later at the latest: the clocks of servers differ by a minute at
# most, and no transaction that sells, redeems or refunds lasts for minutes (the database ends those that idle).
MARGIN: Final = timedelta(minutes=10)


@contextmanager
def locked_state() -> Iterator[FiguresState]:
    """A transaction that alone writes to the roll-up.

    A roll-up begins where there is none yet, and anew where it is one of another time zone's days, or one that a wrong
    clock counted until a moment to come: it has left out what happened since.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # Of requests. A day may have a million vouchers; nobody but a second counting waits for this. It is
                # idle to the database while Python adds up what many vouchers changed.
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL lock_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        zone = timezone.get_default_timezone_name()
        now = timezone.now()
        start = {"counted_until": now - MARGIN, "time_zone": zone}
        state, created = FiguresState.objects.select_for_update().get_or_create(pk=1, defaults=start)
        if created or state.time_zone != zone or state.counted_until > now:
            clear()
            FiguresState.objects.filter(pk=1).update(**start, active_until=None, registered_until=None)
            state.refresh_from_db()
        FiguresState.objects.filter(pk=1).update(version=F("version") + 1)
        yield state


def clear() -> None:
    """Forget all that was counted; the state is the caller's."""
    for model in (
        OwnerDailyFigures,
        CountedOwner,
        DailyFigures,
        CountedDay,
        CountedReturn,
        CountedVoucher,
        UnusedValue,
        ErasedSignIn,
        CountedSignIn,
        ActiveDay,
        ActiveGap,
        DailyRegistrations,
    ):
        model.objects.all().delete()


def end_of_counting(state: FiguresState, now: datetime) -> datetime:
    """Up to where can be counted at `now`; never back."""
    return max(state.counted_until, now - MARGIN)
