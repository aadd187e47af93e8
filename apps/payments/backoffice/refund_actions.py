"""Refunds by staff: requests from the pages of vouchers and payments, and decisions."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.backoffice.confirmed_actions import ActionTarget, ConfirmedActionsAdmin, ReasonForm
from apps.core.errors import ConflictError
from apps.payments import services
from apps.payments.backoffice.columns import money
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.models import Refund, RefundStatus, SoldVoucher, Transaction
from apps.users.current_user import current_user
from apps.vouchers.models import Voucher

REFUNDS_AT_ONCE: Final = 10  # each waits for Stripe
STAYS_APPROVED: Final = (
    "The payment provider does not answer. It stays approved, and is sent again by the next reconciliation, or by"
    " “Send again”."
)


class RefundForm(ReasonForm):
    reason = forms.CharField(
        max_length=200,  # as in a buyer's request
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It stays with the refund, where the buyer reads it too.",
    )


def ask_for_refund(
    screen: ConfirmedActionsAdmin,
    request: HttpRequest,
    rows: list[Any],
    *,
    transaction_id: int,
    voucher_ids: list[int] | None,
    reason: str,
) -> str:
    """Ask for a refund, and approve it too if who asks may decide about it. Raises as the services do."""
    decides = request.user.has_perm("payments.decide_refund")
    refund = services.request_refund_by_staff(
        transaction_id=transaction_id,
        actor=current_user(request),
        reason=reason,
        voucher_ids=voucher_ids,
        decided_at_once=decides,
    )
    if refund.needs_second_person:
        return "Refund asked for; it is above the set amount, so somebody else has to approve it"
    if decides:
        return approve(screen, request, refund, rows, note="")
    return "Refund asked for"


def approve(
    screen: ConfirmedActionsAdmin, request: HttpRequest, refund: Refund, rows: list[Any], *, note: str
) -> str:
    """Approve a refund; what came of it. An approval that nothing came of yet is logged for `rows` here."""
    try:
        refund = services.approve_refund(refund_id=refund.pk, actor=current_user(request), note=note)
    except PaymentProviderUnavailable as error:
        for row in rows:
            screen.log_change(
                request, row, f"Approved refund {refund.pk}; the payment provider did not answer"
            )
        raise PaymentProviderUnavailable(STAYS_APPROVED) from error
    return outcome(refund)


def outcome(refund: Refund) -> str:
    """What came of a refund that was sent to Stripe. Raises ConflictError if nothing did."""
    match refund.status:
        case RefundStatus.SUCCEEDED:
            return "Refunded"
        case RefundStatus.FAILED | RefundStatus.CANCELED:
            why = f" ({refund.failure_reason})" if refund.failure_reason else ""
            held = refund.lines.filter(voucher__is_active=False).exists()  # in dispute, say
            what = "are still held for another reason" if held else "were let go"
            raise ConflictError(f"Stripe could not make refund {refund.pk}{why}. Its vouchers {what}.")
    return "Approved, under way at Stripe"


def is_refundable(paid: Transaction) -> bool:
    """Whether there is money of a payment that could go back, whatever became of its vouchers."""
    return paid.is_paid and paid.unit_price > 0 and paid.amount_left > 0


def by_purchase(vouchers: Iterable[Voucher]) -> list[ActionTarget]:
    """The vouchers of each transaction together: they are refunded in one."""
    vouchers = list(vouchers)
    sold = SoldVoucher.objects.filter(voucher__in=vouchers).select_related("transaction")
    paid_by = {line.voucher_id: line.transaction for line in sold}
    together: dict[Transaction, list[Voucher]] = defaultdict(list)
    targets = []
    for voucher in vouchers:
        if voucher.pk in paid_by:
            together[paid_by[voucher.pk]].append(voucher)
        else:
            targets.append(ActionTarget([voucher], f"{voucher}, which was not bought"))
    for paid, chosen in together.items():
        names = ", ".join(map(str, chosen))
        back = money(services.refundable_amount(paid, len(chosen)), paid)
        targets.append(ActionTarget(chosen, f"{names} of transaction {paid.pk}: {back}"))
    return targets


def unused(transactions: Iterable[Transaction]) -> list[ActionTarget]:
    """Each transaction with what there is to refund of it."""
    targets = []
    for paid in transactions:
        count = sum(map(services.refundable_by_staff, paid.vouchers))
        back = money(services.refundable_amount(paid, count), paid)
        shown = f"Transaction {paid.pk} of {paid.user}: {count} of {paid.quantity} vouchers, {back}"
        targets.append(ActionTarget([paid], shown))
    return targets
