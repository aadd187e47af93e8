"""Refunds, for staff: decided on, and sent again."""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
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
from apps.core.backoffice.filters import ChoiceFilter, DayRangeFilter, of_row
from apps.core.backoffice.lists import MAX_LISTED, totals_by_currency
from apps.core.backoffice.read_only import ReadOnlyAdmin
from apps.payments import services
from apps.payments.backoffice.approvals import approvals_view
from apps.payments.backoffice.columns import OfTransaction, VoucherLines, money
from apps.payments.backoffice.refund_actions import REFUNDS_AT_ONCE, STAYS_APPROVED, approve, outcome
from apps.payments.backoffice.stripe_dashboard import dashboard_link
from apps.payments.errors import PaymentProviderUnavailable
from apps.payments.exports import REFUNDS
from apps.payments.models import UNDER_WAY, Refund, RefundedVoucher, RefundStatus, Transaction
from apps.users.current_user import current_user
from apps.users.models import User
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


class BuyerFilter(of_row("person", "transaction__user")):  # type: ignore[misc]
    """By the buyer, whose purchases are looked up before: in one query the database would look through all refunds."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        number = self.value()
        if number is None:
            return queryset
        purchases = Transaction.objects.filter(user=number).order_by("-created_at", "-id")
        return queryset.filter(transaction__in=list(purchases.values_list("pk", flat=True)[:MAX_LISTED]))


class SecondPersonFilter(ChoiceFilter):
    title = "second person"
    parameter_name = "second_person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting for one")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        if self.value() == "waiting":
            return queryset.filter(status=RefundStatus.REQUESTED, needs_second_person=True)
        return queryset


def is_undecided(refund: Refund, user: User) -> bool:
    """Whether somebody has to decide about a refund."""
    return refund.status == RefundStatus.REQUESTED


def amounts(refunds: Iterable[Refund]) -> list[ActionTarget]:
    return [
        ActionTarget(
            [each], f"Refund {each.pk} of {each.transaction.user}: {money(each.amount, each.transaction)}"
        )
        for each in refunds
    ]


class RefundAdmin(OfTransaction, FoundByCode, ExportableAdmin, ConfirmedActionsAdmin, ReadOnlyAdmin):
    keeps_log = True
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
        "next_step",
    )
    list_filter = (
        AttentionFilter,
        "status",
        "origin",
        SecondPersonFilter,
        ("created_at", DayRangeFilter),
        BuyerFilter,
    )
    ordering = ("-id",)  # as they were asked for, by an index
    total_fields = ("transaction__currency", "status", "amount")
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
        (
            "Stripe",
            {"fields": (("at_stripe", "payment_at_stripe"), "failure_reason", ("reference", "finished_at"))},
        ),
    )
    readonly_fields = (
        "needs_second_person",
        "status_shown",
        "amount_shown",
        "at_stripe",
        "payment_at_stripe",
        "transaction_link",
        "buyer",
        "reference",
    )
    inlines: ClassVar = [RefundedVoucherInline]
    actions = ("approve", "reject", "send_again", "acknowledge_failure")
    actions_detail = actions
    actions_in_rows = actions

    def get_urls(self) -> list[Any]:
        """With the page of what waits for a second person."""
        view = self.admin_site.admin_view(partial(approvals_view, site=self.admin_site))
        return [path("approvals/", view, name="payments_approvals"), *super().get_urls()]

    def totals(self, rows: list[Any]) -> list[tuple[str, str]]:
        return [
            (
                label,
                totals_by_currency(
                    (currency, amount) for currency, status, amount in rows if status in those
                ),
            )
            for label, those in (("Refunded", (RefundStatus.SUCCEEDED,)), ("Under way", UNDER_WAY))
        ]

    @confirmed_action(
        permission="payments.decide_refund",
        fresh_proof=True,
        description="Approve",
        done="Approved",
        effect="Stripe is asked to send the money back, and the vouchers are void for good.",
        form=DecisionForm,
        targets=amounts,
        max_rows=REFUNDS_AT_ONCE,
        applies=lambda refund, user: (
            is_undecided(refund, user)
            and not (refund.needs_second_person and refund.requested_by_id == user.pk)
        ),
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
        applies=is_undecided,
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
        applies=lambda refund, user: refund.status == RefundStatus.APPROVED,
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
        applies=lambda refund, user: refund.status == RefundStatus.FAILED and refund.acknowledged_at is None,
        icon="task_alt",
    )
    def acknowledge_failure(
        self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]
    ) -> bool:
        [failed] = rows
        return services.acknowledge_failed_refund(refund_id=failed.pk)

    @admin.display(description="refund at Stripe")
    def at_stripe(self, refund: Refund) -> str:
        return refund.stripe_refund_id or ""

    @admin.display(description="payment at Stripe")
    def payment_at_stripe(self, refund: Refund) -> str:
        """Where Stripe shows the refund too."""
        return dashboard_link("payments", refund.transaction.stripe_payment_intent_id)

    @display(description="status", ordering="status", label=REFUND_COLOURS)
    def status_shown(self, refund: Refund) -> str:
        return refund.get_status_display()
