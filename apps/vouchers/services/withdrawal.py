"""Withdrawing a service: its type goes off sale, and what is left of its vouchers can't be redeemed any more.

Vouchers that were used in part are held too, as the service that their other uses are for is gone. Used, expired and
void ones stay as they are. Everything goes in chunks, each a transaction of its own, and can be done again: what
is held already is not touched.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from apps.core.batching import id_chunks
from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.states import VOID, Hold

from .holds import change_holds, lock_vouchers

log = logging.getLogger(__name__)

CHUNK: Final = 1000  # redeems of these vouchers wait for it: less than half a second
_VOID: Final = Q(holds__contains=Hold.VOIDED) | Q(holds__contains=Hold.REFUNDED)
_WITHDRAWN: Final = Q(holds__contains=Hold.WITHDRAWN)


@dataclass(frozen=True)
class WithdrawalSummary:
    """The vouchers of a type: unused, used in part, or not to be redeemed anyway; and how many are withdrawn."""

    unused: int
    begun: int
    used_up: int
    expired: int
    void: int
    withdrawn: int


def summarize(voucher_type: VoucherType, *, now: datetime) -> WithdrawalSummary:
    """What there is of a type at `now`, counted in one query; each voucher in one of the first five."""
    usable = Q(uses_remaining__gt=0, expiry_date__gt=now) & ~_VOID
    whole = Q(uses_remaining=F("total_uses"))
    counts = {
        "unused": usable & whole,
        "begun": usable & ~whole,
        "used_up": ~_VOID & Q(uses_remaining=0),
        "expired": ~_VOID & Q(uses_remaining__gt=0, expiry_date__lte=now),
        "void": _VOID,
        "withdrawn": _WITHDRAWN,
    }
    vouchers = Voucher.objects.filter(voucher_type=voucher_type).order_by()
    return WithdrawalSummary(
        **vouchers.aggregate(**{name: Count("pk", filter=which) for name, which in counts.items()})
    )


def withdraw_type(
    *,
    voucher_type: VoucherType,
    reason: str,
    actor: User | None = None,
    on_progress: Callable[[int], object] = lambda done: None,
    chunk: int = CHUNK,
) -> int:
    """Take a type off sale, then hold each voucher of it that could still be redeemed; how many changed.

    `on_progress` is called after each chunk with the number of vouchers handled. Vouchers of a payment that was under
    way are held when this is called again.
    """
    take_off_sale(voucher_type=voucher_type, reason=reason, actor=actor)
    return _in_chunks(
        withdrawable(voucher_type),
        hold_withdrawn,
        reason=reason,
        actor=actor,
        on_progress=on_progress,
        chunk=chunk,
    )


@transaction.atomic
def take_off_sale(*, voucher_type: VoucherType, reason: str, actor: User | None = None) -> None:
    """Take a type off sale for a withdrawal, recorded if it was on sale."""
    if VoucherType.objects.filter(pk=voucher_type.pk, is_active=True).update(is_active=False):
        _record(voucher_type, f"Withdrawn: {reason}", actor)


def withdrawable(voucher_type: VoucherType) -> QuerySet[Voucher]:
    """The vouchers of a type that could still be redeemed, and are not held for its withdrawal."""
    return Voucher.objects.filter(
        ~_WITHDRAWN, ~_VOID, voucher_type=voucher_type, uses_remaining__gt=0, expiry_date__gt=timezone.now()
    )


def withdrawn(voucher_type: VoucherType) -> QuerySet[Voucher]:
    """The vouchers of a type that are held for its withdrawal."""
    return Voucher.objects.filter(_WITHDRAWN, voucher_type=voucher_type)


def hold_withdrawn(voucher_ids: Iterable[int], *, reason: str, actor: User | None = None) -> int:
    """Hold those of the vouchers that could still be redeemed; how many changed. Call it in a transaction."""

    def new_holds(voucher: Voucher) -> frozenset[Hold]:
        # Looked at again under the lock: a redemption may have taken the last use meanwhile.
        usable = (
            voucher.uses_remaining and voucher.expiry_date > timezone.now() and not voucher.held_for & VOID
        )
        return voucher.held_for | {Hold.WITHDRAWN} if usable else voucher.held_for

    return change_holds(lock_vouchers(voucher_ids), new_holds, reason=reason, actor=actor)


def release_withdrawn(voucher_ids: Iterable[int], *, reason: str, actor: User | None = None) -> int:
    """End the hold for the withdrawal of these vouchers; how many changed. Call it in a transaction."""

    def new_holds(voucher: Voucher) -> frozenset[Hold]:
        return voucher.held_for - {Hold.WITHDRAWN}

    return change_holds(lock_vouchers(voucher_ids), new_holds, reason=reason, actor=actor)


def release_type(
    *,
    voucher_type: VoucherType,
    reason: str,
    actor: User | None = None,
    on_progress: Callable[[int], object] = lambda done: None,
    chunk: int = CHUNK,
) -> int:
    """End what `withdraw_type` did to the vouchers, and no other hold; how many changed. The type stays off sale."""
    return _in_chunks(
        withdrawn(voucher_type),
        release_withdrawn,
        reason=reason,
        actor=actor,
        on_progress=on_progress,
        chunk=chunk,
    )


def _record(voucher_type: VoucherType, what: str, actor: User | None) -> None:
    """In the log, and if somebody answers for it in the history of the type's page in the admin."""
    log.warning(
        "Type %s taken off sale by %s", voucher_type.pk, f"user {actor.pk}" if actor else "nobody named"
    )
    if actor:
        LogEntry.objects.log_actions(actor.pk, [voucher_type], CHANGE, what)


def _in_chunks(
    vouchers: QuerySet[Voucher],
    change: Callable[..., int],
    *,
    reason: str,
    actor: User | None,
    on_progress: Callable[[int], object],
    chunk: int,
) -> int:
    changed = done = 0
    for ids in id_chunks(vouchers, chunk):
        with transaction.atomic():
            changed += change(ids, reason=reason, actor=actor)
        done += len(ids)
        on_progress(done)
    return changed
