"""Withdrawing a service from the page of its type: a dry run in numbers, then hold, refund or release."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from apps.core.backoffice.bulk_operations import DryRun, ask_and_start
from apps.core.backoffice.confirmed_actions import ReasonForm
from apps.core.backoffice.second_factor import ask_fresh_proof
from apps.core.models import BulkOperation
from apps.core.money import format_amount
from apps.payments.services import withdrawal_operations
from apps.payments.services.withdrawal_operations import WithdrawalChange
from apps.users.current_user import current_user
from apps.users.models import User
from apps.vouchers.backoffice.types import VoucherTypeAdmin
from apps.vouchers.models import VoucherType

TOO_MANY: Final = (
    "Too many vouchers to count here: manage.py withdraw_service counts them, and does the same."
)


class WithdrawalForm(ReasonForm):
    what = forms.ChoiceField(label="What to do", widget=UnfoldAdminSelectWidget)
    reason = forms.CharField(
        max_length=200,  # as in a buyer's request for a refund
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It stays in the history of each voucher and with each refund, where its owner reads it too.",
    )
    field_order = ("what", "reason")

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        allowed = [change for change in WithdrawalChange if user.has_perms(change.permissions)]
        self.fields["what"].choices = [(change.value, change.label) for change in allowed]  # type: ignore[attr-defined]


@action(
    description="Withdraw service",
    url_path="withdraw",
    permissions=["view", "withdraw"],
    icon="remove_shopping_cart",
    variant=ActionVariant.DANGER,
)
def withdraw(screen: VoucherTypeAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Asks on GET, with a dry run; on POST starts the operation."""
    voucher_type: VoucherType | None = screen.get_object(request, object_id)
    if voucher_type is None:
        missing: HttpResponse = screen._get_obj_does_not_exist_redirect(request, screen.opts, object_id)
        return missing
    if (page := ask_fresh_proof(request)) is not None:
        return page
    actor = current_user(request)

    def start(form_data: dict[str, Any]) -> BulkOperation:
        change = WithdrawalChange(form_data["what"])
        return withdrawal_operations.start(change, voucher_type, actor=actor, reason=form_data["reason"])

    try:
        dry_run = _dry_run(voucher_type)
    except OperationalError:
        messages.error(request, TOO_MANY)
        return redirect(reverse("admin:vouchers_vouchertype_change", args=(voucher_type.pk,)))
    return ask_and_start(
        screen,
        request,
        voucher_type,
        title="Withdraw service",
        effect="The type goes off sale, and no voucher of it can be redeemed from then on. With refunds, what was paid"
        " for and never used goes back to the buyers, each of whom gets a mail. Vouchers used in part, and those"
        " without a payment, are held only.",
        dry_run=dry_run,
        form=WithdrawalForm(request.POST if request.method == "POST" else None, user=actor),
        start=start,
        danger=True,
    )


def _dry_run(voucher_type: VoucherType) -> DryRun:
    plan = withdrawal_operations.plan(voucher_type, now=timezone.now())
    left, refundable = plan.summary, plan.refundable
    figures = [
        ("Vouchers to hold", f"{plan.to_hold:,}"),
        ("Owners of these", f"{plan.owners:,}"),
        ("What these were sold for", _money(plan.values)),
        ("Vouchers to refund, if you refund: never used and paid for", f"{refundable.vouchers:,}"),
        ("Buyers of these", f"{refundable.buyers:,}"),
        ("Payments of these", f"{refundable.payments:,}"),
        ("Money to give back", _money(refundable.amounts)),
        ("Held for a withdrawal already, which a release would end", f"{left.withdrawn:,}"),
        ("Left alone: used up", f"{left.used_up:,}"),
        ("Left alone: expired", f"{left.expired:,}"),
        ("Left alone: void or refunded", f"{left.void:,}"),
    ]
    notes = []
    if plan.pending_purchases:
        notes.append(
            f"{plan.pending_purchases:,} purchases are not paid yet. Should they still be, their vouchers are issued:"
            " do it again in two days."
        )
    if not voucher_type.is_active:
        notes.append("The type is off sale already.")
    is_empty = not (plan.to_hold or refundable.vouchers or left.withdrawn or voucher_type.is_active)
    return DryRun(figures, notes, is_empty=is_empty)


def _money(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(format_amount(amount, currency) for currency, amount in amounts.items()) or "0"


def extend_type_screen() -> None:
    """Add the withdrawal to the screen of types: only this app knows what was paid."""
    VoucherTypeAdmin.register_detail_action("withdraw", withdraw)
