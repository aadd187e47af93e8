"""What the money that goes back pays for, by refund or lost dispute: which vouchers, and how the amount is rounded.

Also what of waiting requests still fits beside it. The rules are those of
docs/decisions/0005-returns-follow-from-facts.md:

* A refund requested here pays for the vouchers that it names.
* All refunds of a payment in Stripe's dashboard together pay for whole vouchers, rounded down; the rest is goodwill.
* All lost disputes of a payment together pay for whole vouchers, rounded up: the bank took the money.

Vouchers that were never used go first, and those that are used up last: held, they get no use back. The caller has
locked the transaction's row, and recalculates afterwards.
"""

from collections.abc import Collection, Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from apps.core import second_person
from apps.payments.models import (
    UNDER_WAY,
    DisputeOutcome,
    Refund,
    RefundedVoucher,
    RefundOrigin,
    RefundStatus,
    Transaction,
)
from apps.payments.services import emails
from apps.vouchers.models import Voucher
from apps.vouchers.states import Hold

COUNTING: Final = (*UNDER_WAY, RefundStatus.SUCCEEDED)
# What of a refund is decided or learnt when it ends.
ENDING: Final = (
    "status",
    "finished_at",
    "stripe_refund_id",
    "failure_reason",
    "decided_by",
    "decided_at",
    "decision_note",
    "updated_at",
)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their sum."""
    return sum(amounts, Decimal(0))


def end_refund(refund: Refund, status: RefundStatus) -> None:
    """Note how a refund ended. Unless it succeeded, its vouchers are no longer refunded."""
    refund.status = status
    refund.finished_at = timezone.now()
    refund.save(update_fields=ENDING)
    if status != RefundStatus.SUCCEEDED:
        refund.lines.update(live=False)


def refundable_amount(paid: Transaction, vouchers: int) -> Decimal:
    """What can be refunded for so many vouchers: their price, or what goodwill has left of it."""
    return min(paid.unit_price * vouchers, paid.amount_left)


def going_back(paid: Transaction) -> Decimal:
    """What of a payment went back by refunds, and is on its way or asked for."""
    return total(paid.refunds.filter(status__in=COUNTING).values_list("amount", flat=True))


def amount_needs_second_person(paid: Transaction, amount: Decimal) -> bool:
    """Whether somebody else than who asked has to approve that so much of a payment goes back in all.

    With what went back and is on its way counts the whole, so that no refund becomes small by being cut into several.
    """
    return second_person.is_needed(settings.SECOND_PERSON_REFUNDS, [(amount, paid.currency)])


def fit_requests(paid: Transaction, *, reason: str) -> None:
    """Lower refunds that were not decided yet until all that goes back fits into what was paid, the newest first.

    One of which nothing is left is canceled. If that is not enough beside the other refunds, those that were approved
    and that Stripe does not know are canceled too.
    """
    excess = going_back(paid) + _lost(paid) - paid.amount
    for refund in paid.refunds.filter(status=RefundStatus.REQUESTED).order_by("-pk"):
        if excess <= 0:
            break
        cut = min(excess, refund.amount)
        excess -= cut
        refund.transaction = paid
        _lower(refund, refund.amount - cut, reason)
    excess = going_back(paid) - paid.amount
    unsent = paid.refunds.filter(status=RefundStatus.APPROVED, stripe_refund_id=None)
    for refund in unsent.order_by("-pk"):
        if excess <= 0:
            break
        excess -= refund.amount
        _cancel(refund, reason)


def claim_vouchers(paid: Transaction, refund: Refund, vouchers: Collection[Voucher]) -> None:
    """Give a refund that ended here without success, and succeeded at Stripe after all, as many vouchers as it is for.

    Its own first. Does nothing for one that has its vouchers, and for those in Stripe's dashboard.
    """
    if refund.origin == RefundOrigin.STRIPE or refund.lines.filter(live=True).exists():
        return
    allocated = set(_live_lines(paid).values_list("voucher_id", flat=True))
    own = set(refund.lines.values_list("voucher_id", flat=True))
    free = [voucher for voucher in vouchers if voucher.pk not in allocated]
    free.sort(key=lambda voucher: (not voucher.uses_remaining, voucher.pk not in own, voucher.uses_made))
    chosen = {voucher.pk for voucher in free[: _rounded_up(refund.amount, paid)]}
    refund.lines.exclude(voucher__in=chosen).delete()
    refund.lines.update(live=True)
    RefundedVoucher.objects.bulk_create(
        RefundedVoucher(refund=refund, voucher_id=voucher_id) for voucher_id in chosen - own
    )


def allocate_dashboard_refunds(
    paid: Transaction, refunds: Iterable[Refund], vouchers: Collection[Voucher]
) -> None:
    """Write which vouchers the refunds in Stripe's dashboard, of these that count, pay for together.

    A voucher stands with the refund that completed its price, those that succeeded first: so it is void once that
    much has gone back for certain. What stands already stays, as far as it is paid for.
    """
    dashboard = [refund for refund in refunds if refund.origin == RefundOrigin.STRIPE]
    dashboard.sort(key=lambda refund: (refund.status != RefundStatus.SUCCEEDED, refund.pk))
    place = {refund.pk: index for index, refund in enumerate(dashboard)}
    lines = {line.voucher_id: line for line in _live_lines(paid)}
    theirs = {pk: line for pk, line in lines.items() if line.refund_id in place}
    free = [voucher for voucher in vouchers if voucher.pk not in lines or voucher.pk in theirs]

    def precedence(voucher: Voucher) -> tuple[int, bool, int]:
        line = theirs.get(voucher.pk)
        return (place[line.refund_id] if line else len(place), *_use(voucher))

    free.sort(key=precedence)
    payers = dict(
        zip((voucher.pk for voucher in free), _completing(dashboard, paid.unit_price), strict=False)
    )
    for voucher_id, line in theirs.items():
        payer = payers.pop(voucher_id, None)
        if payer is None:
            line.delete()
        elif payer.pk != line.refund_id:
            line.refund = payer
            line.save(update_fields=("refund",))
    RefundedVoucher.objects.bulk_create(
        RefundedVoucher(refund=payer, voucher_id=voucher_id) for voucher_id, payer in payers.items()
    )


def goodwill_of(refunds: Iterable[Refund], paid: Transaction, void: Collection[int]) -> Decimal:
    """What of a payment's refunds in Stripe's dashboard no voucher is void for.

    `void` are the vouchers that are void because money went back. Less than a voucher's price, and nothing once
    the rest of that price went back as well.
    """
    rest = total(
        refund.amount
        for refund in refunds
        if refund.origin == RefundOrigin.STRIPE and refund.status == RefundStatus.SUCCEEDED
    )
    if paid.unit_price:
        rest %= paid.unit_price
    return max(min(rest, paid.amount_refunded - paid.unit_price * len(void)), Decimal(0))


def lost_vouchers(
    paid: Transaction, lost: Decimal, vouchers: Collection[Voucher], refunded: Collection[int]
) -> set[int]:
    """The vouchers, but those `refunded` by refunds, that lost disputes over so much void.

    Those that they voided before stay so.
    """
    free = [voucher for voucher in vouchers if voucher.pk not in refunded]
    free.sort(key=lambda voucher: (Hold.REFUNDED not in voucher.held_for, *_use(voucher)))
    return {voucher.pk for voucher in free[: _rounded_up(lost, paid)]}


def _use(voucher: Voucher) -> tuple[bool, int]:
    """The order in which vouchers are voided."""
    return not voucher.uses_remaining, voucher.uses_made


def _completing(refunds: Iterable[Refund], unit_price: Decimal) -> Iterator[Refund]:
    """For each whole voucher that these refunds pay for together, the one that completes its price."""
    back, completed = Decimal(0), 0
    for refund in refunds:
        back += refund.amount
        while unit_price and (back / unit_price).to_integral_value(ROUND_FLOOR) > completed:
            completed += 1
            yield refund


def _rounded_up(amount: Decimal, paid: Transaction) -> int:
    return int((amount / paid.unit_price).to_integral_value(ROUND_CEILING)) if paid.unit_price else 0


def _lost(paid: Transaction) -> Decimal:
    return total(paid.disputes.filter(outcome=DisputeOutcome.LOST).values_list("amount", flat=True))


def _live_lines(paid: Transaction) -> QuerySet[RefundedVoucher]:
    return RefundedVoucher.objects.filter(refund__transaction=paid, live=True)


def _lower(refund: Refund, amount: Decimal, reason: str) -> None:
    """Let a waiting request ask for less, for no more vouchers than that pays for."""
    if amount <= 0:
        _cancel(refund, reason)
        return
    before, refund.amount = refund.amount, amount
    refund.save(update_fields=("amount", "updated_at"))
    lines = refund.lines.select_related("voucher").order_by("voucher_id")
    for line in list(lines)[_rounded_up(amount, refund.transaction) :]:
        line.delete()
    emails.refund_lowered(refund, before=before)


def _cancel(refund: Refund, reason: str) -> None:
    refund.decision_note = reason
    end_refund(refund, RefundStatus.CANCELED)
