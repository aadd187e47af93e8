"""The days on which each user was active, and the gaps between them.

All of them are counted at once, by a few statements; what happens later is added.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Count, F, Max, Min, OuterRef, QuerySet, Subquery

from apps.analytics.models import (
    AFTER_ALL_DAYS,
    BEFORE_ALL_DAYS,
    ActiveDay,
    ActiveGap,
    CountedSignIn,
    ErasedSignIn,
    FiguresState,
)
from apps.analytics.periods import ALL_DAYS
from apps.analytics.selectors.rows import Books, local_day, within
from apps.users.models import User

Changes = Mapping[tuple[date, int], int]  # how many events more, by day and user
Gap = tuple[date, date]
CHUNK: Final = 500

# Of those that were counted: what happened, and the last sign-ins.
_DAYS: Final = (
    "SELECT person AS user_id, at_day AS day, SUM(number) AS events FROM ({events} UNION ALL"
    " SELECT user_id, day, 1 FROM analytics_countedsignin) AS event GROUP BY person, at_day HAVING SUM(number) > 0"
)
_GAPS: Final = (
    "SELECT previous_day, next_day, COUNT(*) AS users FROM ("
    "SELECT COALESCE(LAG(day) OVER (PARTITION BY user_id ORDER BY day), %s) AS previous_day, day AS next_day"
    " FROM analytics_activeday"
    " UNION ALL SELECT MAX(day), %s FROM analytics_activeday GROUP BY user_id"
    ") AS gap GROUP BY previous_day, next_day"
)


def note_erased_sign_in(user: User) -> None:
    """Note that the last sign-in of a user was erased, which leaves no time by which it could be looked up."""
    ErasedSignIn.objects.bulk_create([ErasedSignIn(user=user)], ignore_conflicts=True)


def count_active_days(state: FiguresState, until: datetime, *, anew: bool = False) -> None:
    """Bring the active days to `until`; `anew` or if there are none yet, from the rows. The state must be locked."""
    if anew or state.active_until is None:
        _build(until)
    else:
        _add(state.active_until, until)
    FiguresState.objects.filter(pk=state.pk).update(active_until=until)


def days_of_rows(until: datetime) -> tuple[str, tuple[Any, ...]]:
    """A statement with its parameters: user, day and events as they have to be in ActiveDay until a moment."""
    events, parameters = _events(ALL_DAYS.start, until).query.sql_with_params()
    return _DAYS.format(events=events), tuple(parameters)


def gaps_of_days() -> tuple[str, tuple[Any, ...]]:
    """A statement with its parameters: previous day, next day and users as they have to be in ActiveGap."""
    adapt = connection.ops.adapt_datefield_value
    return _GAPS, (adapt(BEFORE_ALL_DAYS), adapt(AFTER_ALL_DAYS))


def sign_ins(since: datetime, until: datetime) -> QuerySet[Any, Any]:
    """User and local day of each last sign-in from one moment to another."""
    rows = User.objects.filter(within("last_login", [(since, until)])).order_by()
    return rows.values_list("pk", local_day("last_login"))


def _events(since: datetime, until: datetime) -> QuerySet[Any, Any]:
    """User, local day and number of purchases and uses in a span of time; less the uses given back in it."""
    books, span = Books(), [(since, until)]
    sales = books.transactions.filter(within("completed_at", span))
    uses = books.usages.filter(within("used_at", span))
    returned = books.reversals.filter(within("reversed_at", span))
    return _by_day(sales, "", "completed_at", Count("pk")).union(
        _by_day(uses, "", "used_at", Count("pk")),
        _by_day(returned, "usage__", "used_at", -Count("pk")),
        all=True,
    )


def _by_day(rows: QuerySet[Any], path: str, moment: str, number: Any) -> QuerySet[Any, Any]:
    # All three are annotations, so that they come in this order.
    days = rows.annotate(person=F(f"{path}user_id"), at_day=local_day(f"{path}{moment}"))
    numbers: QuerySet[Any, Any] = days.values_list("person", "at_day").annotate(number=number)
    return numbers


def _build(until: datetime) -> None:
    """Count all days anew."""
    # First these: an account that is closed from here on leaves one that stays for the next time.
    for model in (ErasedSignIn, CountedSignIn, ActiveDay, ActiveGap):
        model.objects.all().delete()
    signed_in, parameters = sign_ins(ALL_DAYS.start, until).query.sql_with_params()
    _execute(f"INSERT INTO analytics_countedsignin (user_id, day) {signed_in}", parameters)
    days, parameters = days_of_rows(until)
    _execute(f"INSERT INTO analytics_activeday (user_id, day, events) {days}", parameters)
    gaps, parameters = gaps_of_days()
    _execute(f"INSERT INTO analytics_activegap (previous_day, next_day, users) {gaps}", parameters)


def _execute(sql: str, parameters: tuple[Any, ...]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _add(since: datetime, until: datetime) -> None:
    """Add what happened in a span of time, and what was taken back in it."""
    changes: Counter[tuple[date, int]] = Counter()
    if until > since:
        for user, day, number in _events(since, until):
            changes[day, user] += number
    changes.update(_move_sign_ins(since, until))
    gaps: Counter[Gap] = Counter()
    by_day: dict[date, dict[int, int]] = defaultdict(dict)
    for (day, user), number in changes.items():
        if number:
            by_day[day][user] = number
    for day, users in by_day.items():
        for chunk in _chunks(users):
            _change_day(day, {user: users[user] for user in chunk}, gaps)
    _add_gaps(gaps)


def _move_sign_ins(since: datetime, until: datetime) -> Counter[tuple[date, int]]:
    """Note the last sign-ins of a span of time, in place of those from before, and which were erased."""
    changes: Counter[tuple[date, int]] = Counter()
    erased = list(ErasedSignIn.objects.values_list("user_id", flat=True))
    new: dict[int, date] = dict(sign_ins(since, until))
    for chunk in _chunks({*erased, *new}):
        old = CountedSignIn.objects.filter(user__in=chunk)
        for user, day in old.values_list("user_id", "day"):
            changes[day, user] -= 1
        old.delete()
        ErasedSignIn.objects.filter(user__in=set(chunk) & set(erased)).delete()
    for user, day in new.items():
        changes[day, user] += 1
    notes = (CountedSignIn(user_id=user, day=day) for user, day in new.items())
    CountedSignIn.objects.bulk_create(notes, batch_size=CHUNK)
    return changes


def _change_day(day: date, changes: Mapping[int, int], gaps: Counter[Gap]) -> None:
    """Add events of some users to a day, and to `gaps` what that changes."""
    days = ActiveDay.objects.filter(day=day)
    before = dict(days.filter(user__in=changes).values_list("user_id", "events"))
    after = {user: before.get(user, 0) + number for user, number in changes.items()}
    over = [user for user, events in after.items() if events <= 0 and user in before]
    _split_gaps(day, over, gaps, -1)
    days.filter(user__in=over).delete()
    ActiveDay.objects.bulk_create(
        (ActiveDay(user_id=user, day=day, events=events) for user, events in after.items() if events > 0),
        update_conflicts=True,
        unique_fields=("user", "day"),
        update_fields=("events",),
    )
    new = [user for user, events in after.items() if events > 0 and user not in before]
    _split_gaps(day, new, gaps, 1)


def _split_gaps(day: date, users: list[int], gaps: Counter[Gap], sign: int) -> None:
    """Two gaps in place of one for each of the users, who have this day; or with sign -1 one in place of two."""
    of_user = ActiveDay.objects.filter(user=OuterRef("user")).order_by().values("user")
    previous = of_user.filter(day__lt=day).annotate(last=Max("day")).values("last")
    following = of_user.filter(day__gt=day).annotate(first=Min("day")).values("first")
    rows = ActiveDay.objects.filter(day=day, user__in=users).order_by()
    for first, last in rows.values_list(Subquery(previous), Subquery(following)):
        begin, end = first or BEFORE_ALL_DAYS, last or AFTER_ALL_DAYS
        gaps[begin, day] += sign
        gaps[day, end] += sign
        if first or last:
            gaps[begin, end] -= sign


def _add_gaps(changes: Counter[Gap]) -> None:
    gaps = {gap: number for gap, number in changes.items() if number}
    if not gaps:
        return
    begins, ends = {begin for begin, _ in gaps}, {end for _, end in gaps}
    rows = ActiveGap.objects.filter(next_day__in=ends, previous_day__in=begins)
    for begin, end, users in rows.values_list("previous_day", "next_day", "users"):
        if (begin, end) in gaps:
            gaps[begin, end] += users
    ActiveGap.objects.bulk_create(
        (ActiveGap(previous_day=begin, next_day=end, users=users) for (begin, end), users in gaps.items()),
        batch_size=CHUNK,
        update_conflicts=True,
        unique_fields=("next_day", "previous_day"),
        update_fields=("users",),
    )
    ActiveGap.objects.filter(users=0).delete()


def _chunks(users: Iterable[int]) -> Iterator[list[int]]:
    ids = sorted(users)
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
