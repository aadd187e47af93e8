"""Requests about money that a client may send again: looked up before any rule, kept with what they started."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError
from django.db import transaction as database
from django.db.models import Q
from django.utils import timezone

from apps.core.idempotency import RequestInProgress, RequestKey
from apps.payments.models import IdempotencyKey, Refund, Transaction
from apps.users.models import User

KEPT_FOR: Final = timedelta(hours=48)
# Longer than a request can take: two calls of Stripe with two tries each, and the database.
LEASE: Final = timedelta(seconds=30)


def earlier_request(user: User, key: RequestKey | None) -> IdempotencyKey | None:
    """What the same request under the same key started before; None if it is new, or without a key.

    Raises IdempotencyKeyReused if it was another request.
    """
    if key is None:
        return None
    rows = IdempotencyKey.objects.select_related("transaction__voucher_type", "refund__transaction")
    earlier = rows.filter(user=user, key=key.key).first()
    if earlier is not None:
        key.check(earlier.request_hash)
    return earlier


@contextmanager
def begin_request(user: User, key: RequestKey | None) -> Iterator[Callable[..., None]]:
    """A database transaction for a request that is new; the key is written first, so that it is done once.

    Gives a function that notes what was started: `transaction` or `refund`. Of two at once the second waits at
    the unique index until the first has committed, and then gets RequestInProgress. Whatever
    the block raises, nothing is kept.
    """
    with database.atomic():
        row: IdempotencyKey | None = None
        if key is not None:
            try:
                with database.atomic():
                    row = IdempotencyKey.objects.create(
                        user=user,
                        key=key.key,
                        request_hash=key.request_hash,
                        running_until=timezone.now() + LEASE,
                    )
            except IntegrityError as error:
                raise RequestInProgress from error

        def note(*, transaction: Transaction | None = None, refund: Refund | None = None) -> None:
            if row is not None:
                row.transaction, row.refund = transaction, refund
                row.save(update_fields=("transaction", "refund"))

        yield note


def acquire_lease(earlier: IdempotencyKey) -> None:
    """Go on with a request whose process died. Raises RequestInProgress while another may be at it."""
    now = timezone.now()
    free = Q(running_until=None) | Q(running_until__lte=now)
    acquired = IdempotencyKey.objects.filter(free, pk=earlier.pk, answer__isnull=True).update(
        running_until=now + LEASE
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
        IdempotencyKey.objects.filter(user=user, key=key.key, answer__isnull=True).update(
            answer=answer, running_until=None
        )


def discard_all_keys(user: User) -> None:
    """Forget every key of a user."""
    IdempotencyKey.objects.filter(user=user).delete()


def remove_old_keys(now: datetime) -> int:
    """Delete keys that need no longer be known; how many."""
    deleted, _ = IdempotencyKey.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    return deleted
