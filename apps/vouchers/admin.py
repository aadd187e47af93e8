"""Screens for staff: types are edited; vouchers and their uses are only looked at.

Codes are worth money: no page shows one in full. Staff who were told a code find its voucher by it.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Count, F, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDateWidget

from apps.core.reasons import AskingAdmin, ReasonForm, asks_first
from apps.core.screens import LookedAtAdmin, LookedAtInline
from apps.users.callers import caller

from . import codes, services
from .models import Voucher, VoucherEvent, VoucherStatus, VoucherType, VoucherUsage, status_condition

STATUS_COLOURS = {
    "Active": "success",
    "Used": "info",
    "Expired": "warning",
    "Inactive": "danger",
}


class FoundByCode(ModelAdmin):
    """Search by a voucher's code in any form, by its last four symbols, and by `search_fields`."""

    code_field = "code"
    search_help_text = "A code, its last four symbols, or an e-mail address"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Keeps a code that was searched for out of the page: only its last four symbols come back."""
        if code := _code_in(request.GET.get(SEARCH_VAR, "")):
            request.sought_code = code  # type: ignore[attr-defined]
            shown = request.GET.copy()
            shown[SEARCH_VAR] = code[-4:]
            request.GET = shown  # type: ignore[assignment]
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        rows = self.model._default_manager.order_by()
        if code := getattr(request, "sought_code", None) or _code_in(search_term):
            return queryset.filter(pk__in=rows.filter(**{self.code_field: code}).values("pk")), False
        found, duplicates = super().get_search_results(request, queryset, search_term)
        symbols = search_term.strip("· -")
        if not codes.is_ending(symbols):
            return found, duplicates
        ending_so = rows.filter(**{f"{self.code_field}__last_four": symbols.upper()}).values("pk")
        if "·" in search_term:  # as our pages show them
            return queryset.filter(pk__in=ending_so), False
        # Either by an index of its own: an OR of the two would read every row.
        return queryset.filter(pk__in=found.order_by().values("pk").union(ending_so)), False


def _code_in(typed: str) -> str | None:
    try:
        return codes.parse(typed)
    except codes.CodeMalformed:
        return None


@admin.register(VoucherType)
class VoucherTypeAdmin(ModelAdmin):
    list_display = ("name", "service_type", "price_shown", "is_active", "issued", "uses_made", "uses_left")
    list_filter = ("is_active", "service_type")
    search_fields = ("name", "service_type")
    fieldsets = (
        (None, {"fields": ("name", "description", "service_type", "is_active")}),
        (
            "Terms",
            {
                "fields": (("price", "currency"), ("validity_days", "max_uses")),
                "description": "For vouchers sold from now on: those sold already keep the terms of their sale.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoucherType]:
        active = status_condition(VoucherStatus.ACTIVE, timezone.now(), "vouchers__")
        types: QuerySet[VoucherType] = super().get_queryset(request)
        return types.annotate(
            issued=Count("vouchers"),
            uses_made=Sum(F("vouchers__total_uses") - F("vouchers__uses_remaining"), default=0),
            uses_left=Sum("vouchers__uses_remaining", filter=active, default=0),
        )

    def has_delete_permission(self, request: HttpRequest, obj: VoucherType | None = None) -> bool:
        """A type that was sold stays; take it off sale instead."""
        if obj is not None and obj.vouchers.exists():
            return False
        return bool(super().has_delete_permission(request, obj))

    @admin.display(description="price", ordering="price")
    def price_shown(self, voucher_type: VoucherType) -> str:
        return f"{voucher_type.price:,.2f}\N{NO-BREAK SPACE}{voucher_type.currency}"

    @admin.display(description="issued", ordering="issued")
    def issued(self, voucher_type: Any) -> int:
        return int(voucher_type.issued)

    @admin.display(description="uses made", ordering="uses_made")
    def uses_made(self, voucher_type: Any) -> int:
        return int(voucher_type.uses_made)

    @admin.display(description="uses left", ordering="uses_left")
    def uses_left(self, voucher_type: Any) -> int:
        return int(voucher_type.uses_left)


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, str(status.label)) for status in VoucherStatus]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Voucher]) -> QuerySet[Voucher]:
        status = self.value()
        if status not in VoucherStatus.values:
            return queryset
        return queryset.filter(status_condition(VoucherStatus(status), timezone.now()))


class UsageInline(LookedAtInline):
    model = VoucherUsage
    fields = ("use_no", "used_at", "user", "service_type", "details")
    ordering = ("-use_no",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoucherUsage]:
        usages: QuerySet[VoucherUsage] = super().get_queryset(request)
        return usages.select_related("user")


class EventInline(LookedAtInline):
    model = VoucherEvent
    verbose_name_plural = "history"
    fields = ("at", "kind", "hold", "actor", "reason", "details")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoucherEvent]:
        events: QuerySet[VoucherEvent] = super().get_queryset(request)
        return events.select_related("actor")


class ExtendForm(ReasonForm):
    until = forms.DateField(widget=UnfoldAdminDateWidget(), help_text="The last day on which it is valid.")
    field_order = ("until", "reason")


@admin.register(Voucher)
class VoucherAdmin(FoundByCode, AskingAdmin, LookedAtAdmin):
    list_display = ("masked_code", "voucher_type", "user", "status", "uses", "purchase_date", "expiry_date")
    list_filter = (StatusFilter, "voucher_type", "inactive_reason")
    list_select_related = ("voucher_type", "user")
    search_fields = ("user__email",)
    fieldsets = (
        (None, {"fields": ("masked_code", "voucher_type", "service_type", "user")}),
        (
            "State",
            {"fields": (("status", "inactive_reason", "holds"), "uses", ("purchase_date", "expiry_date"))},
        ),
        ("Paid", {"fields": (("face_value", "currency"),)}),
    )
    readonly_fields = ("masked_code", "status", "uses", "service_type", "holds")
    inlines: ClassVar = [UsageInline, EventInline]
    actions = ("extend", "suspend", "release", "reissue", "void")
    actions_detail = actions

    @asks_first(permission="vouchers.extend_voucher", description="Extend", done="Extended", form=ExtendForm)
    def extend(self, request: HttpRequest, rows: list[Voucher], given: dict[str, Any]) -> bool:
        for voucher in rows:
            services.extend_voucher(voucher_id=voucher.pk, actor=caller(request), **given)
        return True

    @asks_first(
        permission="vouchers.suspend_voucher",
        description="Suspend",
        done="Suspended",
        about="They can't be redeemed until staff release them.",
    )
    def suspend(self, request: HttpRequest, rows: list[Voucher], given: dict[str, Any]) -> bool:
        return bool(services.suspend_vouchers([each.pk for each in rows], actor=caller(request), **given))

    @asks_first(
        permission="vouchers.suspend_voucher",
        description="Release what staff suspended",
        done="Released",
        about="Other holds, such as those of refunds and disputes, stay.",
    )
    def release(self, request: HttpRequest, rows: list[Voucher], given: dict[str, Any]) -> bool:
        return bool(services.release_vouchers([each.pk for each in rows], actor=caller(request), **given))

    @asks_first(
        permission="vouchers.reissue_voucher",
        description="Reissue with a new code",
        done="Reissued",
        about="The old code stops working at once. The owner finds the new one among their vouchers.",
    )
    def reissue(self, request: HttpRequest, rows: list[Voucher], given: dict[str, Any]) -> bool:
        for voucher in rows:
            services.reissue_voucher(voucher_id=voucher.pk, actor=caller(request), **given)
        return True

    @asks_first(
        permission="vouchers.void_voucher",
        description="Void for good",
        done="Voided",
        about="This can't be taken back, and gives no money back.",
        variant=ActionVariant.DANGER,
    )
    def void(self, request: HttpRequest, rows: list[Voucher], given: dict[str, Any]) -> bool:
        return bool(services.void_vouchers([each.pk for each in rows], actor=caller(request), **given))

    @admin.display(description="code")
    def masked_code(self, voucher: Voucher) -> str:
        return codes.masked(voucher.code)

    @display(description="status", label=STATUS_COLOURS)
    def status(self, voucher: Voucher) -> str:
        return str(voucher.status_at(timezone.now()).label)

    @admin.display(description="uses made")
    def uses(self, voucher: Voucher) -> str:
        return f"{voucher.uses_made} of {voucher.total_uses}"


@admin.register(VoucherUsage)
class VoucherUsageAdmin(FoundByCode, AskingAdmin, LookedAtAdmin):
    list_display = ("used_at", "masked_code", "voucher_type", "use_no", "user", "service_type", "given_back")
    list_filter = ("voucher__voucher_type",)
    list_select_related = ("voucher__voucher_type", "user", "reversal")
    actions = ("reverse",)
    actions_detail = actions
    code_field = "voucher__code"
    search_fields = ("user__email", "voucher__user__email")
    fields = ("voucher", "voucher_type", "use_no", "used_at", "user", "service_type", "details")
    readonly_fields = ("voucher_type",)

    @asks_first(
        permission="vouchers.reverse_usage",
        description="Give the use back",
        done="Given back",
        about="The use stays in the books; its voucher can be redeemed once more.",
    )
    def reverse(self, request: HttpRequest, rows: list[VoucherUsage], given: dict[str, Any]) -> bool:
        for usage in rows:
            services.reverse_usage(usage_id=usage.pk, actor=caller(request), **given)
        return True

    @admin.display(description="given back", boolean=True)
    def given_back(self, usage: VoucherUsage) -> bool:
        return hasattr(usage, "reversal")

    @admin.display(description="code")
    def masked_code(self, usage: VoucherUsage) -> str:
        return codes.masked(usage.voucher.code)

    @admin.display(description="voucher type", ordering="voucher__voucher_type__name")
    def voucher_type(self, usage: VoucherUsage) -> str:
        return usage.voucher.voucher_type.name


from . import batch_admin  # noqa: E402, F401 - the screens for batches
