"""Refunds, for staff: decided on, and sent again."""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import path
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.backoffice.attention import AttentionFilter
from apps.core.backoffice.confirmed_actions import (
    ActionTarget,
    ConfirmedActionsAdmin,
    ConfirmOnlyForm,
    ReasonForm,
    confirmed_action,
)
from apps.core.backoffice.exports import ExportableAdmin
from apps.core.backoffice.read_only import ReadOnlyAdmin
from apps.payments import services
from apps.payments.backoffice.approvals import approvals_view
from apps.payments.backoffice.columns import OfTransaction, VoucherLines, money
from apps.payments.backoffice.refund_actions import REFUNDS_AT_ONCE, STAYS_APPROVED, approve, outcome
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.exports import REFUNDS
from apps.payments.models import Refund, RefundedVoucher
from apps.users.current_user import current_user
from apps.vouchers.backoffice.code_search import FoundByCode

REFUND_COLOURS = {
    "Requested": "warning",
    "Approved, being sent": "info",
    "Pending at Stripe": "info",
    "Succeeded": "success",
    "Failed": "danger",
    "Rejected": "danger",
}


class RefundedVoucherInline(VoucherLines):
    model = RefundedVoucher
    verbose_name_plural = "vouchers"
    fields = ("voucher_link", "voucher_status", "uses", "counts")
    readonly_fields: tuple[str, ...] = (*VoucherLines.readonly_fields, "counts")

    @admin.display(description="refunded by this refund")
    def counts(self, line: RefundedVoucher) -> str:
        return "Yes" if line.live else "No: let go"


class DecisionForm(ReasonForm):
    reason = forms.CharField(
        label="Note",
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="The buyer reads it in the mail about the decision.",
    )


def amounts(refunds: Iterable[Refund]) -> list[ActionTarget]:
    return [
        ActionTarget(
            [each], f"Refund {each.pk} of {each.transaction.user}: {money(each.amount, each.transaction)}"
        )
        for each in refunds
    ]


class RefundAdmin(OfTransaction, FoundByCode, ExportableAdmin, ConfirmedActionsAdmin, ReadOnlyAdmin):
    export_table = REFUNDS
    list_display = (
        "id",
        "status_shown",
        "amount_shown",
        "buyer",
        "origin",
        "requested_by",
        "transaction_link",
        "created_at",
    )
    list_filter = (AttentionFilter, "status", "origin", "needs_second_person", "created_at")
    list_select_related = ("transaction__user", "requested_by")
    list_before_template = "payments/approvals_link.html"
    code_field = "lines__voucher__code"
    search_fields = ("=id", "=transaction__id", "=stripe_refund_id", "transaction__user__email")
    search_help_text = (
        "A number, a transaction's number, a refund at Stripe, an e-mail address, or a voucher's code or its last"
        " four symbols"
    )
    fieldsets = (
        (
            None,
            {"fields": (("status_shown", "amount_shown"), ("transaction_link", "buyer"))},
        ),
        (
            "Request",
            {
                "fields": (
                    ("origin", "created_at"),
                    ("requested_by", "needs_second_person"),
                    "reason",
                    "notes",
                )
            },
        ),
        ("Decision", {"fields": (("decided_by", "decided_at"), "decision_note")}),
        ("Stripe", {"fields": (("stripe_refund_id", "failure_reason"), ("reference", "finished_at"))}),
    )
    readonly_fields = (
        "needs_second_person",
        "status_shown",
        "amount_shown",
        "transaction_link",
        "buyer",
        "reference",
    )
    inlines: ClassVar = [RefundedVoucherInline]
    actions = ("approve", "reject", "send_again", "acknowledge_failure")
    actions_detail = actions

    def get_urls(self) -> list[Any]:
        """With the page of what waits for a second person."""
        view = self.admin_site.admin_view(partial(approvals_view, site=self.admin_site))
        return [path("approvals/", view, name="payments_approvals"), *super().get_urls()]

    @confirmed_action(
        permission="payments.decide_refund",
        fresh_proof=True,
        description="Approve",
        done="Approved",
        effect="Stripe is asked to send the money back, and the vouchers are void for good.",
        form=DecisionForm,
        targets=amounts,
        max_rows=REFUNDS_AT_ONCE,
        icon="check_circle",
    )
    def approve(self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]) -> str:
        [refund] = rows
        return approve(self, request, refund, rows, note=form_data["reason"])

    @confirmed_action(
        permission="payments.decide_refund",
        fresh_proof=True,
        description="Reject",
        done="Rejected",
        effect="No money goes back, and the vouchers are let go.",
        form=DecisionForm,
        targets=amounts,
        variant=ActionVariant.DANGER,
        icon="cancel",
    )
    def reject(self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]) -> bool:
        [refund] = rows
        services.reject_refund(refund_id=refund.pk, actor=current_user(request), note=form_data["reason"])
        return True

    @confirmed_action(
        permission="payments.decide_refund",
        fresh_proof=True,
        description="Send again",
        done="Sent again",
        effect="For what was approved and not heard of since: Stripe is asked whether it made it, and to make it if"
        " not. It is never made twice.",
        form=ConfirmOnlyForm,
        targets=amounts,
        max_rows=REFUNDS_AT_ONCE,
        icon="send",
    )
    def send_again(self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]) -> str | bool:
        [approved] = rows
        try:
            refund = services.execute_refund(approved.pk)
        except PaymentProviderUnavailable as error:
            raise PaymentProviderUnavailable(STAYS_APPROVED) from error
        return False if refund.status == approved.status else outcome(refund)

    @confirmed_action(
        permission="payments.decide_refund",
        fresh_proof=True,
        description="Settled in another way",
        done="Settled in another way",
        effect="For what failed: it no longer counts as waiting for a person. No money moves.",
        targets=amounts,
        icon="task_alt",
    )
    def acknowledge_failure(
        self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]
    ) -> bool:
        [failed] = rows
        return services.acknowledge_failed_refund(refund_id=failed.pk)

    @display(description="status", ordering="status", label=REFUND_COLOURS)
    def status_shown(self, refund: Refund) -> str:
        return refund.get_status_display()
