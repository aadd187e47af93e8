"""Rules on what keeps vouchers from being redeemed."""

from collections.abc import Iterable
from datetime import datetime
from itertools import combinations
from typing import Any

from django.db.models import Exists, OuterRef, Q

from apps.payments.models import (
    UNDER_WAY,
    Dispute,
    DisputeOutcome,
    RefundedVoucher,
    RefundStatus,
    SoldVoucher,
)
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold, InactiveReason

from .rule import rule

# Each way in which the column `holds` may read, the strongest first.
SETS = [chosen for number in range(1, len(Hold) + 1) for chosen in combinations(list(Hold), number)]


@rule(
    "holds_told",
    "A voucher is inactive if something holds it, and gives the strongest of its holds as the reason.",
    "voucher",
)
def inactive_reason(now: datetime) -> Iterable[Any]:
    right = Q(is_active=True, holds="", inactive_reason="")
    for reason in InactiveReason:
        holds = [" ".join(chosen) for chosen in SETS if chosen[0].inactive_reason == reason]
        right |= Q(is_active=False, holds__in=holds, inactive_reason=reason)
    yield Voucher.objects.exclude(right)


@rule(
    "held_for_refund",
    "A voucher is held for a refund exactly while a refund of it is under way.",
    "voucher",
)
def refund_pending(now: datetime) -> Iterable[Any]:
    lines = RefundedVoucher.objects.filter(voucher=OuterRef("pk"), live=True, refund__status__in=UNDER_WAY)
    held = _held(Hold.REFUND_PENDING)
    yield Voucher.objects.filter(held).exclude(Exists(lines))
    yield Voucher.objects.exclude(held).filter(Exists(lines))


@rule(
    "held_as_refunded",
    "A voucher is void as refunded if a refund of it succeeded; or else if a dispute about its payment was lost.",
    "voucher",
)
def refunded(now: datetime) -> Iterable[Any]:
    lines = RefundedVoucher.objects.filter(
        voucher=OuterRef("pk"), live=True, refund__status=RefundStatus.SUCCEEDED
    )
    lost = _disputed(DisputeOutcome.LOST)
    held = _held(Hold.REFUNDED)
    yield Voucher.objects.filter(held).exclude(Exists(lines)).exclude(Exists(lost))
    yield Voucher.objects.exclude(held).filter(Exists(lines))


@rule("held_as_disputed", "A voucher is held exactly while a dispute about its payment is open.", "voucher")
def disputed(now: datetime) -> Iterable[Any]:
    open_disputes = _disputed(DisputeOutcome.OPEN)
    held = _held(Hold.DISPUTED)
    yield Voucher.objects.filter(held).exclude(Exists(open_disputes))
    yield Voucher.objects.exclude(held).filter(Exists(open_disputes))


def _held(hold: Hold) -> Q:
    return Q(holds__in=[" ".join(chosen) for chosen in SETS if hold in chosen])


def _disputed(outcome: DisputeOutcome) -> Any:
    disputes = Dispute.objects.filter(outcome=outcome)
    return SoldVoucher.objects.filter(voucher=OuterRef("pk"), transaction__in=disputes.values("transaction"))


RULES = (inactive_reason, refund_pending, refunded, disputed)
