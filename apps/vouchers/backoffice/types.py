"""Types of vouchers, for staff: put on sale, edited, and taken off sale."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, F, Sum
from django.http import HttpRequest
from django.utils import timezone
from unfold.views import ChangeList

from apps.core.backoffice.bulk_operations import operations_of
from apps.core.backoffice.extensible import ExtensibleAdmin
from apps.core.backoffice.read_only import LogsEachRow
from apps.core.money import format_amount
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.states import VoucherStatus, status_condition


class TypesCounted(ChangeList):
    """Counts the vouchers of the types on the page in one query, which reads the vouchers' rows once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        usable = status_condition(VoucherStatus.ACTIVE, timezone.now())
        counted = (
            Voucher.objects.filter(voucher_type__in=[each.pk for each in self.result_list])
            .order_by()
            .values("voucher_type")
            .annotate(
                vouchers=Count("pk"),
                used=Sum(F("total_uses") - F("uses_remaining")),
                left=Sum("uses_remaining", filter=usable, default=0),
            )
            .values_list("voucher_type", "vouchers", "used", "left")
        )
        counts = {type_id: figures for type_id, *figures in counted}
        for each in self.result_list:
            each.issued, each.uses_made, each.uses_left = counts.get(each.pk, (0, 0, 0))


class VoucherTypeAdmin(LogsEachRow, ExtensibleAdmin):
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

    readonly_fields = (operations_of,)

    def get_fieldsets(self, request: HttpRequest, obj: VoucherType | None = None) -> Any:
        """With the withdrawals of a type that is there."""
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj is None else (*fieldsets, ("Withdrawals", {"fields": (operations_of,)}))

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return TypesCounted

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Each field with what stood there when the page was opened, to tell what was changed on it."""
        return super().formfield_for_dbfield(db_field, request, **{**options, "show_hidden_initial": True})

    def save_model(self, request: HttpRequest, obj: VoucherType, form: Any, change: bool) -> None:
        """Only what was changed on this page: a type that was withdrawn meanwhile does not come back on sale."""
        obj.save(update_fields=form.changed_data if change else None)

    def has_delete_permission(self, request: HttpRequest, obj: VoucherType | None = None) -> bool:
        """A type that was sold stays; take it off sale instead."""
        if obj is not None and obj.vouchers.exists():
            return False
        return bool(super().has_delete_permission(request, obj))

    def has_withdraw_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("vouchers.withdraw_vouchertype")

    @admin.display(description="price", ordering="price")
    def price_shown(self, voucher_type: VoucherType) -> str:
        return format_amount(voucher_type.price, voucher_type.currency)

    @admin.display(description="issued")
    def issued(self, voucher_type: Any) -> str:
        return f"{voucher_type.issued:,}"

    @admin.display(description="uses made")
    def uses_made(self, voucher_type: Any) -> str:
        return f"{voucher_type.uses_made:,}"

    @admin.display(description="uses left")
    def uses_left(self, voucher_type: Any) -> str:
        return f"{voucher_type.uses_left:,}"
