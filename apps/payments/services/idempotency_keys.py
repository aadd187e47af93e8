"""Requests about money that a client may send again: looked up before any rule, kept with what they started."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError
from django.db import transaction as database
from django.db.models import BigAutoField, CharField, JSONField, Q
from django.utils import timezone

from apps.core.idempotency import RequestInProgress, RequestKey
from apps.core.prepared_queries import PreparedModelQuery, PreparedUpdate
from apps.payments.models import IdempotencyKey, Refund
from apps.users import services as users
from apps.users.models import User

KEPT_FOR: Final = timedelta(hours=48)
# Longer than a request takes: two calls of Stripe with two tries each (TIMEOUTS in stripe_http.py), and the database.
REQUEST_LEASE: Final = timedelta(seconds=45)


def earlier_request(user: User, key: RequestKey | None) -> IdempotencyKey | None:
    """What the same request under the same key started before; None if it is new, or without a key.

    Raises IdempotencyKeyReused if it was another request.
    """
    if key is None:
        return None
    rows = _EARLIER.rows(user=user.pk, key=key.key)
    if not rows:
        return None
    key.check(rows[0].request_hash)
    return rows[0]


_EARLIER: Final = PreparedModelQuery(
    lambda user, key: (
        IdempotencyKey.objects.filter(user=user, key=key)
        .select_related("transaction__voucher_type", "refund__transaction")
        .order_by()
    ),
    user=BigAutoField(),
    key=CharField(),
)


def new_key(user: User, key: RequestKey | None) -> IdempotencyKey | None:
    """The row for the key of a request that begins now, not saved yet; None without a key."""
    if key is None:
        return None
    lease = timezone.now() + REQUEST_LEASE
    return IdempotencyKey(user=user, key=key.key, request_hash=key.request_hash, running_until=lease)


@contextmanager
def begin_request(user: User, key: RequestKey | None) -> Iterator[Callable[[Refund], None]]:
    """A database transaction for a request for a refund that is new: the account's row is locked, then the key written.

    Gives a function that notes the refund. Of two at once the second waits at the unique index until the first has
    committed, and then gets RequestInProgress. Whatever the block raises, nothing is kept. Raises AccountClosed.
    """
    with database.atomic():
        users.lock_open_account(user=user)
        row = new_key(user, key)
        if row is not None:
            try:
                row.save(force_insert=True)
            except IntegrityError as error:
                raise RequestInProgress from error

        def note(refund: Refund) -> None:
            if row is not None:
                row.refund = refund
                row.save(update_fields=("refund",))

        yield note


def acquire_lease(earlier: IdempotencyKey) -> None:
    """Go on with a request whose process died. Raises RequestInProgress while another may be at it."""
    now = timezone.now()
    free = Q(running_until=None) | Q(running_until__lte=now)
    acquired = IdempotencyKey.objects.filter(free, pk=earlier.pk, answer__isnull=True).update(
        running_until=now + REQUEST_LEASE
    )
    if not acquired:
        raise RequestInProgress


def release_lease(user: User, key: RequestKey | None) -> None:
    """Let the next such request go on at once: this one could not be finished."""
    if key is not None:
        IdempotencyKey.objects.filter(user=user, key=key.key, answer__isnull=True).update(running_until=None)


def discard_key(user: User, key: RequestKey | None) -> None:
    """A request that was refused is not kept."""
    if key is not None:
        IdempotencyKey.objects.filter(user=user, key=key.key, answer__isnull=True).delete()


def store_response(user: User, key: RequestKey | None, answer: dict[str, Any]) -> None:
    """Keep the first answer to a request. It must hold no client secret."""
    if key is not None:
        _STORE_RESPONSE.execute(user=user.pk, key=key.key, answer=answer)


_STORE_RESPONSE: Final = PreparedUpdate(
    lambda user, key, answer: (
        IdempotencyKey.objects.filter(user=user, key=key, answer__isnull=True),
        {"answer": answer, "running_until": None},
    ),
    user=BigAutoField(),
    key=CharField(),
    answer=JSONField(),
)


def discard_all_keys(user: User) -> None:
    """Forget every key of a user."""
    IdempotencyKey.objects.filter(user=user).delete()


def remove_old_keys(now: datetime) -> int:
    """Delete keys that need no longer be known; how many."""
    deleted, _ = IdempotencyKey.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    return deleted
