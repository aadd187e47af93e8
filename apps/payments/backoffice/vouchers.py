"""What the screen of vouchers shows of payments, and the refund that starts there."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.enums import ActionVariant

from apps.core.backoffice.confirmed_actions import confirmed_action
from apps.core.backoffice.read_only import link_to
from apps.payments import services
from apps.payments.backoffice.refund_actions import (
    REFUNDS_AT_ONCE,
    RefundForm,
    ask_for_refund,
    by_purchase,
    is_refundable,
)
from apps.payments.errors import NothingToRefund
from apps.payments.models import RefundedVoucher, SoldVoucher, Transaction
from apps.vouchers.backoffice.vouchers import VoucherAdmin
from apps.vouchers.models import Voucher


def may_be_refunded(voucher: Voucher) -> bool:
    """Whether there is a payment that could go back for a voucher."""
    if not services.refundable_by_staff(voucher):
        return False
    paid = Transaction.objects.filter(sold_vouchers__voucher=voucher).first()
    return paid is not None and is_refundable(paid)


@confirmed_action(
    permission="payments.make_refund",
    fresh_proof=True,
    description="Refund",
    done="Refund asked for",
    effect="The vouchers are held at once. If you may decide about refunds too, the money goes back right away and"
    " the vouchers are void; else somebody who may has to approve it.",
    form=RefundForm,
    targets=by_purchase,
    applies=lambda voucher, user: may_be_refunded(voucher),
    max_rows=REFUNDS_AT_ONCE,
    variant=ActionVariant.DANGER,
    icon="currency_exchange",
)
def refund(screen: VoucherAdmin, request: HttpRequest, rows: list[Voucher], form_data: dict[str, Any]) -> str:
    sold = SoldVoucher.objects.filter(voucher=rows[0]).first()
    if sold is None:
        raise NothingToRefund("It was not bought: there is no payment to give back.")
    return ask_for_refund(
        screen,
        request,
        rows,
        transaction_id=sold.transaction_id,
        voucher_ids=[voucher.pk for voucher in rows],
        reason=form_data["reason"],
    )


@admin.display(description="transaction")
def transaction_link(voucher: Voucher) -> str:
    sold = SoldVoucher.objects.select_related("transaction").filter(voucher=voucher).first()
    return link_to(sold.transaction) if sold else ""


@admin.display(description="refunds")
def refund_links(voucher: Voucher) -> str:
    lines = RefundedVoucher.objects.filter(voucher=voucher).select_related("refund").order_by("pk")
    return format_html_join(", ", "{}", ((link_to(line.refund),) for line in lines))


def extend_voucher_screen() -> None:
    """Add to the screen of vouchers what only this app knows: what paid for them, and how that goes back."""
    VoucherAdmin.register_action(refund.name, refund)
    VoucherAdmin.register_detail_action(refund.name, refund)
    VoucherAdmin.register_fields("Paid", transaction_link, refund_links)
