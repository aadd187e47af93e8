"""Screens for staff: what was paid and what Stripe told us. They are only looked at."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from apps.core.screens import LookedAtAdmin, LookedAtInline
from apps.vouchers import admin as vouchers_admin

from .models import SoldVoucher, StripeEvent, Transaction

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


@admin.register(Transaction)
class TransactionAdmin(vouchers_admin.FoundByCode, LookedAtAdmin):
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
    inlines: ClassVar = [SoldVoucherInline]

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
