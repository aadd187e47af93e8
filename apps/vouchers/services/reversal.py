"""Giving a use back. The use stays in the books; a reversal of its own stands against it."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from apps.users.models import User
from apps.vouchers.errors import (
    AlreadyReversed,
    ReasonInvalid,
    ReversalTooLate,
    UsageNotFound,
    VoucherChanging,
    VoucherInactive,
)
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.states import VoucherEventKind

MAX_REASON_LENGTH = 500


@transaction.atomic
def reverse_usage(*, usage_id: int, actor: User, reason: str) -> UsageReversal:
    """Give a use back to its voucher, within REVERSAL_WINDOW_DAYS of it by the database's clock.

    An expired voucher gets it back too, and stays expired. The guarded UPDATE takes the voucher's lock, so a
    second reversal at the same instant waits and then finds the first; the schema allows but one.

    Raises ReasonInvalid, UsageNotFound, AlreadyReversed, ReversalTooLate, or VoucherInactive for a voucher that
    is held: what is disputed or refunded gives nothing back. Then nothing has changed.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= MAX_REASON_LENGTH:
        raise ReasonInvalid
    usage = VoucherUsage.objects.annotate(read_at=Now()).filter(pk=usage_id).first()
    if usage is None:
        raise UsageNotFound
    vouchers = Voucher.objects.filter(pk=usage.voucher_id)
    changed = vouchers.filter(is_active=True, uses_remaining__lt=F("total_uses")).update(
        uses_remaining=F("uses_remaining") + 1, uses_reversed=F("uses_reversed") + 1
    )
    if UsageReversal.objects.filter(usage=usage).exists():
        raise AlreadyReversed
    if (usage.read_at - usage.used_at) / timedelta(days=1) > settings.REVERSAL_WINDOW_DAYS:
        raise ReversalTooLate
    if not changed:
        held_for = vouchers.values_list("inactive_reason", flat=True).get()
        raise VoucherInactive(reason=held_for) if held_for else VoucherChanging()
    VoucherEvent.objects.create(
        voucher_id=usage.voucher_id,
        kind=VoucherEventKind.REVERSED,
        at=usage.read_at,
        actor=actor,
        reason=reason,
        details={"use_no": usage.use_no},
    )
    return UsageReversal.objects.create(usage=usage, reversed_at=usage.read_at, actor=actor, reason=reason)
