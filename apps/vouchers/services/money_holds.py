"""Holds that follow from refunds and disputes, and the days that a voucher loses to them.

While any of MONEY_HOLDS is on a voucher, its owner can't use it and can do nothing about that. When the last of them
ends, the expiry moves on by the days since the first began. So overlapping disputes count once, and what is lost and
then won counts whole. Both moments stand in the history; nothing else records what was reversed.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from apps.users.models import User
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import MONEY_HOLDS, VOID, Hold, VoucherEventKind

from .extension import give_days_back
from .holds import ALL_HOLDS, change_holds, lock_vouchers


@transaction.atomic
def sync_money_holds(
    targets: Mapping[int, Collection[Hold]], *, reason: str, actor: User | None = None
) -> int:
    """Hold each voucher (by id) for exactly these of MONEY_HOLDS from now on; how many changed.

    Other holds stay. A voucher that none of them holds any more gets back the days that it lost, unless it is void.
    Doing it again changes nothing.
    """
    vouchers = lock_vouchers(targets)
    released = [voucher for voucher in vouchers if voucher.held_for & MONEY_HOLDS and not targets[voucher.pk]]

    def new_holds(voucher: Voucher) -> frozenset[Hold]:
        return (voucher.held_for - MONEY_HOLDS) | frozenset(targets[voucher.pk])

    held_since = _held_since(released)
    changed = change_holds(vouchers, new_holds, reason=reason, actor=actor)
    for voucher in released:
        days = _days_lost(voucher, held_since.get(voucher.pk))
        if days > 0 and not voucher.held_for & VOID:
            give_days_back(voucher, days=days, reason=reason)
    return changed


def _days_lost(voucher: Voucher, since: datetime | None) -> int:
    """Days, in the project's time zone, between `since` and now; none of one that had expired before."""
    if since is None or voucher.expiry_date <= since:
        return 0
    return (timezone.localdate() - timezone.localdate(since)).days


def _held_since(vouchers: Iterable[Voucher]) -> dict[int, datetime]:
    """When each of these vouchers, which MONEY_HOLDS hold now, was last free of them, by its history."""
    ids = [voucher.pk for voucher in vouchers]
    if not ids:
        return {}
    holds: dict[int, frozenset[str]] = {}
    since: dict[int, datetime] = {}
    events = VoucherEvent.objects.filter(voucher__in=ids, hold__in=MONEY_HOLDS).order_by("id")
    for event in events:
        before = holds.get(event.voucher_id, frozenset())
        after = holds[event.voucher_id] = _money_holds_after(event, before)
        if not before and after:
            since[event.voucher_id] = event.at
    return since


def _money_holds_after(event: VoucherEvent, before: frozenset[str]) -> frozenset[str]:
    """The money holds after an event. One that is older than the note of all holds tells of one hold alone."""
    if ALL_HOLDS in event.details:
        return frozenset(event.details[ALL_HOLDS].split()) & MONEY_HOLDS
    if event.kind == VoucherEventKind.RELEASED:
        return before - {event.hold}
    # What gave way to "refunded" has no event.
    return frozenset({event.hold}) if event.hold == Hold.REFUNDED else before | {event.hold}
