"""Payments, for staff: what was paid, for which vouchers, and what went back."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.enums import ActionVariant

from apps.core.backoffice.attention import AttentionFilter
from apps.core.backoffice.confirmed_actions import (
    ActionTarget,
    ConfirmedActionsAdmin,
    ConfirmOnlyForm,
    confirmed_action,
)
from apps.core.backoffice.exports import ExportableAdmin
from apps.core.backoffice.filters import DayRangeFilter, of_row
from apps.core.backoffice.lists import totals_by_currency
from apps.core.backoffice.read_only import ReadOnlyAdmin, ReadOnlyInline, link_to
from apps.core.errors import ConflictError
from apps.payments import services
from apps.payments.backoffice.columns import OfTransaction, VoucherLines, money
from apps.payments.backoffice.printing import PrintsVouchers
from apps.payments.backoffice.refund_actions import (
    REFUNDS_AT_ONCE,
    RefundForm,
    ask_for_refund,
    is_refundable,
    unused,
)
from apps.payments.backoffice.stripe_dashboard import dashboard_link
from apps.payments.errors import NotPaid
from apps.payments.exports import TRANSACTIONS
from apps.payments.models import PAID, Dispute, Receipt, Refund, SoldVoucher, Transaction
from apps.vouchers.backoffice.code_search import FoundByCode
from apps.vouchers.type_names import service_name

STATUS_COLOURS = {
    "Pending": "warning",
    "Completed": "success",
    "Failed": "danger",
    "Refunded": "info",
    "Partly refunded": "info",
    "Disputed": "danger",
}


def to_mail(transactions: Iterable[Transaction]) -> list[ActionTarget]:
    """Each transaction with what was bought, and by whom."""
    return [
        ActionTarget([paid], f"Transaction {paid.pk} of {paid.user}: {paid.quantity} × {paid.sold_as}")
        for paid in transactions
    ]


class SoldVoucherInline(VoucherLines):
    model = SoldVoucher
    verbose_name_plural = "vouchers issued"
    fields = ("line_no", "voucher_link", "voucher_status", "uses")


class RefundInline(OfTransaction, ReadOnlyInline):
    model = Refund
    fk_name = "transaction"
    fields = (
        "number",
        "status",
        "amount_shown",
        "origin",
        "reason",
        "requested_by",
        "created_at",
        "decided_by",
        "finished_at",
    )
    readonly_fields = ("number", "amount_shown")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        refunds: QuerySet[Refund] = super().get_queryset(request)
        return refunds.select_related("transaction", "requested_by", "decided_by")

    @admin.display(description="refund")
    def number(self, refund: Refund) -> str:
        return link_to(refund, refund.pk)


class DisputeInline(OfTransaction, ReadOnlyInline):
    model = Dispute
    fields = ("number", "outcome", "amount_shown", "reason", "stripe_status", "opened_at", "closed_at")
    readonly_fields = ("number", "amount_shown")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispute]:
        disputes: QuerySet[Dispute] = super().get_queryset(request)
        return disputes.select_related("transaction")

    @admin.display(description="dispute")
    def number(self, dispute: Dispute) -> str:
        return link_to(dispute, dispute.pk)


class TransactionAdmin(PrintsVouchers, FoundByCode, ExportableAdmin, ConfirmedActionsAdmin, ReadOnlyAdmin):
    keeps_log = True
    export_table = TRANSACTIONS
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
    list_filter = (
        AttentionFilter,
        "status",
        "voucher_type",
        "currency",
        ("completed_at", DayRangeFilter),
        of_row("person", "user"),
    )
    ordering = ("-id",)  # as they were begun, by an index
    total_fields = ("currency", "status", "amount", "amount_refunded")
    list_select_related = ("user", "voucher_type")
    code_field = "sold_vouchers__voucher__code"
    search_fields = ("user__email", "=stripe_payment_intent_id", "=id", "=receipt__number")
    search_help_text = (
        "An e-mail address, a number, that of a receipt, a payment intent, or a voucher's code or its last four"
        " symbols"
    )
    fieldsets = (
        (None, {"fields": ("user", "voucher_type", ("quantity", "unit_price"))}),
        (
            "Payment",
            {
                "fields": (
                    ("amount_shown", "refunded_shown", "refunding_shown"),
                    "goodwill_shown",
                    "status_shown",
                    "at_stripe",
                    "reference",
                )
            },
        ),
        (
            "Terms of the sale",
            {"fields": (("type_name", "service"), ("validity_days", "max_uses"))},
        ),
        ("Receipt", {"fields": ("receipt_shown", ("buyer_name", "buyer_email"))}),
        ("Times", {"fields": (("created_at", "completed_at"), "updated_at")}),
    )
    readonly_fields = (
        "amount_shown",
        "refunded_shown",
        "refunding_shown",
        "goodwill_shown",
        "status_shown",
        "at_stripe",
        "service",
        "reference",
        "type_name",
        "receipt_shown",
        "buyer_name",
        "buyer_email",
        "updated_at",
    )
    inlines: ClassVar = [SoldVoucherInline, RefundInline, DisputeInline]
    actions = ("mail_receipt", "refund_unused")
    actions_detail = ("mail_receipt", "print_vouchers", "refund_unused")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        transactions: QuerySet[Transaction] = super().get_queryset(request)
        return transactions.annotate(disputed=Exists(Dispute.objects.open_of(OuterRef("pk"))))

    def totals(self, rows: list[Any]) -> list[tuple[str, str]]:
        paid = [(currency, amount, back) for currency, status, amount, back in rows if status in PAID]
        return [
            ("Paid", totals_by_currency((currency, amount) for currency, amount, _ in paid)),
            ("Refunded", totals_by_currency((currency, back) for currency, _, back in paid)),
        ]

    @confirmed_action(
        permission="payments.make_refund",
        fresh_proof=True,
        description="Refund unused vouchers",
        done="Refund asked for",
        effect="The vouchers are held at once. If you may decide about refunds too, the money goes back right away and"
        " the vouchers are void; else somebody who may has to approve it. Some vouchers of a transaction alone are"
        " refunded among the vouchers.",
        form=RefundForm,
        targets=unused,
        applies=lambda paid, user: (
            is_refundable(paid) and any(map(services.refundable_by_staff, paid.vouchers))
        ),
        max_rows=REFUNDS_AT_ONCE,
        variant=ActionVariant.DANGER,
        icon="currency_exchange",
    )
    def refund_unused(self, request: HttpRequest, rows: list[Transaction], form_data: dict[str, Any]) -> str:
        [paid] = rows
        return ask_for_refund(
            self, request, rows, transaction_id=paid.pk, voucher_ids=None, reason=form_data["reason"]
        )

    @confirmed_action(
        permission="payments.resend_receipt",
        description="Mail the receipt again",
        done="Receipt mailed again",
        effect="It goes to the buyer's address, with the codes as they are now.",
        form=ConfirmOnlyForm,
        applies=lambda paid, user: paid.is_paid,
        targets=to_mail,
        icon="mail",
    )
    def mail_receipt(self, request: HttpRequest, rows: list[Transaction], form_data: dict[str, Any]) -> bool:
        [paid] = rows
        if not paid.is_paid:
            raise NotPaid
        if not services.queue_receipt(paid):
            raise ConflictError("The account is closed: there is nobody to mail it to.")
        return True

    @admin.display(description="receipt number")
    def receipt_shown(self, transaction: Transaction) -> str:
        receipt = Receipt.objects.filter(transaction=transaction).values_list("number", flat=True).first()
        return "" if receipt is None else f"{receipt}"

    @admin.display(description="payment at Stripe")
    def at_stripe(self, transaction: Transaction) -> str:
        return dashboard_link("payments", transaction.stripe_payment_intent_id)

    @admin.display(description="service")
    def service(self, transaction: Transaction) -> str:
        return service_name(transaction.service_type)

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, transaction: Transaction) -> str:
        return money(transaction.amount, transaction)

    @admin.display(description="refunded", ordering="amount_refunded")
    def refunded_shown(self, transaction: Transaction) -> str:
        return money(transaction.amount_refunded, transaction) if transaction.amount_refunded else ""

    @admin.display(description="being refunded")
    def refunding_shown(self, transaction: Transaction) -> str:
        return money(transaction.amount_refunding, transaction) if transaction.amount_refunding else ""

    @admin.display(description="goodwill, of what was refunded")
    def goodwill_shown(self, transaction: Transaction) -> str:
        if not transaction.amount_goodwill:
            return ""
        return f"{money(transaction.amount_goodwill, transaction)}: no voucher is void for it"

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_shown(self, transaction: Transaction) -> str:
        if transaction.disputed:  # type: ignore[attr-defined]  # annotated by get_queryset
            return "Disputed"
        if transaction.is_paid and 0 < transaction.amount_refunded < transaction.amount:
            return "Partly refunded"
        return transaction.get_status_display()
