"""Rules on the uses of vouchers."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q

from apps.vouchers.models import Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.states import VoucherEventKind

from .rule import CLOCK_SKEW, rule

HOLDING = (VoucherEventKind.HELD, VoucherEventKind.SUSPENDED, VoucherEventKind.VOIDED)


@rule("uses_within_total", "A voucher has between none and all of its uses left.", "voucher")
def within_total(now: datetime) -> Iterable[Any]:
    yield Voucher.objects.filter(Q(uses_remaining__lt=0) | Q(uses_remaining__gt=F("total_uses")))


@rule(
    "uses_counted",
    "The recorded uses of a voucher are those that are no longer left, and those that were given back.",
    "voucher",
)
def counted(now: datetime) -> Iterable[Any]:
    uses = F("total_uses") - F("uses_remaining") + F("uses_reversed")
    yield Voucher.objects.annotate(recorded=Count("usages")).exclude(recorded=uses)


@rule("uses_numbered", "The uses of a voucher are numbered from 1 without gaps.", "voucher")
def numbered(now: datetime) -> Iterable[Any]:
    used = Voucher.objects.annotate(
        recorded=Count("usages"), numbers=Count("usages__use_no", distinct=True), last=Max("usages__use_no")
    )
    yield used.filter(~Q(numbers=F("recorded"), last=F("recorded")), recorded__gt=0)


@rule(
    "reversals_counted", "The uses given back that a voucher counts are those that are recorded.", "voucher"
)
def reversals(now: datetime) -> Iterable[Any]:
    yield Voucher.objects.annotate(recorded=Count("usages__reversal")).exclude(recorded=F("uses_reversed"))


@rule("uses_in_time", "No use is later than the voucher's expiry, or earlier than its issue.", "usage")
def in_time(now: datetime) -> Iterable[Any]:
    late = Q(used_at__gt=F("voucher__expiry_date"))
    yield VoucherUsage.objects.filter(late | Q(used_at__lt=F("voucher__purchase_date") - CLOCK_SKEW))


@rule("uses_of_service", "A voucher was used for the service that it was sold for.", "usage")
def of_service(now: datetime) -> Iterable[Any]:
    yield VoucherUsage.objects.exclude(service_type=F("voucher__service_type"))


@rule("uses_while_held", "No voucher was used while something kept it from being redeemed.", "usage")
def while_held(now: datetime) -> Iterable[Any]:
    """The history tells each hold that is set. It tells a release also where another hold remains."""
    of_voucher = VoucherEvent.objects.filter(voucher=OuterRef("voucher"))
    let_go = of_voucher.filter(
        kind=VoucherEventKind.RELEASED,
        at__gte=OuterRef("at"),
        at__lte=OuterRef(OuterRef("used_at")) + CLOCK_SKEW,
    )
    holding = of_voucher.filter(kind__in=HOLDING)
    before = holding.filter(at__lt=OuterRef("used_at") - CLOCK_SKEW)
    after = holding.filter(at__gte=OuterRef("used_at") - CLOCK_SKEW)
    not_let_go = before.exclude(Exists(let_go))
    yield VoucherUsage.objects.filter(Exists(not_let_go))
    # Not free at the end, and not held anew since: never quite free meanwhile.
    still_held = VoucherUsage.objects.filter(voucher__is_active=False).filter(Exists(before))
    yield still_held.exclude(Exists(after)).exclude(Exists(not_let_go))


RULES = (within_total, counted, numbered, reversals, in_time, of_service, while_held)
