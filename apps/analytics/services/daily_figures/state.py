"""How far the roll-up goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, NamedTuple

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

# How far back the counting ends. What happened at a moment is in the books so much later, or when its transaction ends:
# the clocks of servers differ by a minute at most, and a statement waits for a connection of the pooler for two
# (query_wait_timeout of PgBouncer).
MARGIN: Final = timedelta(minutes=3)
# No transaction that sells, redeems or refunds lasts for minutes: the database ends those that idle. One that lasts
# longer is a dump, an export or an audit, which writes nothing that is counted.
LONGEST_TRANSACTION: Final = timedelta(minutes=7)

# A session of another role is seen, but not its transaction, unless the role of this one may (pg_read_all_stats).
# To be read once in a transaction, before all else that must be newer: a second look shows what the first did.
_DATABASE_TIME: Final = """
    SELECT clock_timestamp(), MAX(clock_timestamp() - xact_start),
        COUNT(*) FILTER (WHERE state IS NULL OR state = 'disabled')
    FROM pg_stat_activity
    WHERE datname = current_database() AND usesysid IS NOT NULL AND pid <> pg_backend_pid()
"""


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
        start = {"counted_until": now - MARGIN - LONGEST_TRANSACTION, "time_zone": zone}
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
    """Up to where can be counted at `now`, in statements that begin after this; never back.

    By the clock of the database where it is earlier: one of the job's server that is ahead leaves nothing out.
    """
    database = database_time()
    return max(state.counted_until, min(now, database.now) - MARGIN - database.oldest_transaction)


class DatabaseTime(NamedTuple):
    """The time by the clock of the database, and how long ago the oldest of the other transactions has begun.

    That is LONGEST_TRANSACTION at most, and where there may be one that can't be seen.
    """

    now: datetime
    oldest_transaction: timedelta


def database_time() -> DatabaseTime:
    """The time of the database now."""
    if connection.vendor != "postgresql":
        return DatabaseTime(timezone.now(), timedelta(0))  # transactions that write run one after the other
    with connection.cursor() as cursor:
        cursor.execute(_DATABASE_TIME)
        now, age, unseen = cursor.fetchone()
    oldest = (
        LONGEST_TRANSACTION if unseen else min(max(age or timedelta(0), timedelta(0)), LONGEST_TRANSACTION)
    )
    return DatabaseTime(now, oldest)
