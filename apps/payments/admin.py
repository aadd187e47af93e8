"""Screens for staff: what was paid, what went back, and what Stripe told us; staff decide about refunds."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from apps.core.reasons import AskingAdmin, NoQuestions, asks_first
from apps.core.screens import LookedAtAdmin, LookedAtInline
from apps.users.callers import caller
from apps.vouchers import admin as vouchers_admin

from . import services
from .models import Dispute, Refund, RefundedVoucher, SoldVoucher, StripeEvent, Transaction

MAILS_AT_ONCE = 100
STATUS_COLOURS = {
    "Pending": "warning",
    "Completed": "success",
    "Failed": "danger",
    "Refunded": "info",
}


class SoldVoucherInline(LookedAtInline):
    model = SoldVoucher
    verbose_name_plural = "vouchers issued"
    fields = ("line_no", "voucher_link", "voucher_status", "uses")
    readonly_fields = ("voucher_link", "voucher_status", "uses")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SoldVoucher]:
        sold: QuerySet[SoldVoucher] = super().get_queryset(request)
        return sold.select_related("voucher")

    @admin.display(description="voucher")
    def voucher_link(self, sold: SoldVoucher) -> str:
        address = reverse("admin:vouchers_voucher_change", args=(sold.voucher_id,))
        return format_html('<a class="text-primary-600" href="{}">{}</a>', address, sold.voucher)

    @admin.display(description="status")
    def voucher_status(self, sold: SoldVoucher) -> str:
        return str(sold.voucher.status_at(timezone.now()).label)

    @admin.display(description="uses made")
    def uses(self, sold: SoldVoucher) -> str:
        return f"{sold.voucher.uses_made} of {sold.voucher.total_uses}"


class RefundInline(LookedAtInline):
    model = Refund
    fk_name = "transaction"
    fields = ("created_at", "amount", "status", "origin", "reason", "decided_by", "decision_note")
    show_change_link = True


class DisputeInline(LookedAtInline):
    model = Dispute
    fields = ("opened_at", "amount", "reason", "stripe_status", "outcome", "closed_at")
    show_change_link = True


@admin.register(Transaction)
class TransactionAdmin(vouchers_admin.FoundByCode, AskingAdmin, LookedAtAdmin):
    list_display = (
        "id",
        "created_at",
        "user",
        "voucher_type",
        "quantity",
        "amount_shown",
        "refunded_shown",
        "status_shown",
    )
    list_filter = ("status", "voucher_type", "currency")
    list_select_related = ("user", "voucher_type")
    code_field = "sold_vouchers__voucher__code"
    search_fields = ("user__email", "=stripe_payment_intent_id", "=id")
    search_help_text = (
        "An e-mail address, a number, a payment intent, or a voucher's code or its last four symbols"
    )
    fieldsets = (
        (None, {"fields": ("user", "voucher_type", ("quantity", "unit_price"))}),
        (
            "Payment",
            {
                "fields": (
                    ("amount_shown", "refunded_shown"),
                    "status_shown",
                    "stripe_payment_intent_id",
                    "reference",
                )
            },
        ),
        ("Terms of the sale", {"fields": ("service_type", ("validity_days", "max_uses"))}),
        ("Times", {"fields": (("created_at", "completed_at", "updated_at"),)}),
    )
    readonly_fields = ("amount_shown", "refunded_shown", "status_shown", "reference", "updated_at")
    inlines: ClassVar = [SoldVoucherInline, RefundInline, DisputeInline]
    actions = ("mail_receipt", "refund_unused")
    actions_detail = ("refund_unused",)

    @asks_first(
        permission="payments.make_refund",
        description="Ask for a refund of all unused vouchers",
        done="Asked for a refund",
        about="The vouchers are held at once; the refund is then approved or rejected among the refunds.",
    )
    def refund_unused(self, request: HttpRequest, rows: list[Transaction], given: dict[str, Any]) -> bool:
        for transaction in rows:
            services.request_refund_by_staff(
                transaction_id=transaction.pk, actor=caller(request), reason=given["reason"][:200]
            )
        return True

    @admin.action(description="Mail the receipt again", permissions=["mail_receipt"])
    def mail_receipt(self, request: HttpRequest, queryset: QuerySet[Transaction]) -> None:
        chosen = list(queryset.select_related("user", "voucher_type")[: MAILS_AT_ONCE + 1])
        if len(chosen) > MAILS_AT_ONCE:
            messages.error(request, f"At most {MAILS_AT_ONCE} at once. None was mailed.")
            return
        mailed = [each for each in chosen if each.is_paid and services.queue_receipt(each)]
        for transaction in mailed:
            self.log_change(request, transaction, "Mailed the receipt again.")
        if len(mailed) < len(chosen):
            messages.warning(request, f"Not paid, or the account is closed: {len(chosen) - len(mailed)}.")
        messages.success(request, f"On their way: {len(mailed)}.")

    def has_mail_receipt_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.change_transaction")

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, transaction: Transaction) -> str:
        return f"{transaction.amount:,.2f}\N{NO-BREAK SPACE}{transaction.currency}"

    @admin.display(description="refunded", ordering="amount_refunded")
    def refunded_shown(self, transaction: Transaction) -> str:
        if not transaction.amount_refunded:
            return "-"
        return f"{transaction.amount_refunded:,.2f}\N{NO-BREAK SPACE}{transaction.currency}"

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_shown(self, transaction: Transaction) -> str:
        return transaction.get_status_display()


class RefundedVoucherInline(LookedAtInline):
    model = RefundedVoucher
    verbose_name_plural = "vouchers"
    fields = ("voucher", "live")


@admin.register(Refund)
class RefundAdmin(AskingAdmin, LookedAtAdmin):
    list_display = ("id", "created_at", "transaction_link", "amount", "status", "origin", "requested_by")
    list_filter = ("status", "origin")
    list_select_related = ("transaction", "requested_by")
    search_fields = ("=id", "=transaction__id", "=stripe_refund_id", "transaction__user__email")
    search_help_text = "A number, a transaction's number, a refund at Stripe, or an e-mail address"
    fields = (
        "transaction_link",
        ("amount", "status", "origin"),
        ("requested_by", "created_at"),
        ("reason", "notes"),
        ("decided_by", "decided_at", "decision_note"),
        ("stripe_refund_id", "failure_reason", "finished_at"),
    )
    readonly_fields = ("transaction_link",)
    inlines: ClassVar = [RefundedVoucherInline]
    actions = ("approve", "reject", "send_again")
    actions_detail = actions

    @asks_first(
        permission="payments.decide_refund",
        description="Approve and refund",
        done="Approved",
        about="Stripe is asked to give the money back, and the vouchers are void.",
    )
    def approve(self, request: HttpRequest, rows: list[Refund], given: dict[str, Any]) -> bool:
        for refund in rows:
            services.approve_refund(refund_id=refund.pk, actor=caller(request), note=given["reason"])
        return True

    @asks_first(
        permission="payments.decide_refund",
        description="Reject",
        done="Rejected",
        about="The vouchers can be used again. The buyer reads the reason.",
    )
    def reject(self, request: HttpRequest, rows: list[Refund], given: dict[str, Any]) -> bool:
        for refund in rows:
            services.reject_refund(refund_id=refund.pk, actor=caller(request), note=given["reason"])
        return True

    @asks_first(
        permission="payments.decide_refund",
        description="Send again what was approved",
        done="Sent again",
        about="For a refund that stayed approved because Stripe did not answer.",
        form=NoQuestions,
    )
    def send_again(self, request: HttpRequest, rows: list[Refund], given: dict[str, Any]) -> bool:
        statuses = {services.execute_refund(refund.pk).status for refund in rows}
        return statuses != {refund.status for refund in rows}

    @admin.display(description="transaction")
    def transaction_link(self, refund: Refund) -> str:
        return _link_to(refund.transaction)


@admin.register(Dispute)
class DisputeAdmin(LookedAtAdmin):
    list_display = ("opened_at", "transaction_link", "amount", "reason", "stripe_status", "outcome")
    list_filter = ("outcome",)
    list_select_related = ("transaction",)
    search_fields = ("=stripe_dispute_id", "=transaction__id", "transaction__user__email")
    search_help_text = "A dispute at Stripe, a transaction's number, or an e-mail address"
    fields = (
        "transaction_link",
        ("stripe_dispute_id", "amount", "reason"),
        ("stripe_status", "outcome"),
        ("opened_at", "closed_at"),
    )
    readonly_fields = ("transaction_link",)

    @admin.display(description="transaction")
    def transaction_link(self, dispute: Dispute) -> str:
        return _link_to(dispute.transaction)


def _link_to(transaction: Transaction) -> str:
    address = reverse("admin:payments_transaction_change", args=(transaction.pk,))
    return format_html('<a class="text-primary-600" href="{}">{}</a>', address, transaction)


class WaitingFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting"), ("applied", "Applied")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StripeEvent]) -> QuerySet[StripeEvent]:
        match self.value():
            case "waiting":
                return queryset.filter(processed_at=None)
            case "applied":
                return queryset.exclude(processed_at=None)
        return queryset


@admin.register(StripeEvent)
class StripeEventAdmin(LookedAtAdmin):
    list_display = ("received_at", "type", "object_id", "attempts", "outcome", "processed_at")
    list_filter = (WaitingFilter,)
    search_fields = ("=stripe_id", "=object_id", "type")
    search_help_text = "An event, an object, or part of a type"
    fields = ("stripe_id", "type", "object_id", "received_at", "processed_at", "outcome", "attempts")
