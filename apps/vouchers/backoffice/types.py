"""Types of vouchers, for staff: put on sale, edited, and taken off sale."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from apps.core.backoffice.addresses import link, list_address
from apps.core.backoffice.bulk_operations import operations_of
from apps.core.backoffice.counting import bounded_counts, shown_number
from apps.core.backoffice.extensible import ExtensibleAdmin
from apps.core.backoffice.lists import MAX_LISTED, BoundedAdmin
from apps.core.backoffice.read_only import LogsEachRow
from apps.core.money import format_amount
from apps.core.pdf import without_font
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.type_names import service_name


class VoucherTypeAdmin(LogsEachRow, ExtensibleAdmin, BoundedAdmin):
    keeps_log = True
    list_display = ("name", "service", "price_shown", "uses", "validity", "is_active", "issued")
    list_filter = ("is_active", "service_type")
    sortable_by = None  # staff make them, so there are few
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

    def prepare_rows(self, request: HttpRequest, types: list[Any]) -> None:
        """Count the vouchers of the types on the page in one query, up to MAX_LISTED each."""
        counts = bounded_counts(
            {str(each.pk): (Voucher.objects.filter(voucher_type=each), MAX_LISTED) for each in types}
        )
        for each in types:
            each.vouchers_counted = counts[str(each.pk)]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Each field with what stood there when the page was opened, to tell what was changed on it."""
        return super().formfield_for_dbfield(db_field, request, **{**options, "show_hidden_initial": True})

    def save_model(self, request: HttpRequest, obj: VoucherType, form: Any, change: bool) -> None:
        """Only what was changed on this page: a type that was withdrawn meanwhile does not come back on sale."""
        obj.save(update_fields=form.changed_data if change else None)
        if lacking := without_font(f"{obj.name} {service_name(obj.service_type)}"):
            messages.warning(
                request,
                f"No font has {' '.join(lacking)}: vouchers and receipts show ▯ for each of these letters. "
                "The type is saved; another spelling of its name prints whole.",
            )

    def has_delete_permission(self, request: HttpRequest, obj: VoucherType | None = None) -> bool:
        """A type that was sold stays; take it off sale instead."""
        if obj is not None and obj.vouchers.exists():
            return False
        return bool(super().has_delete_permission(request, obj))

    def has_withdraw_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("vouchers.withdraw_vouchertype")

    @admin.display(description="service", ordering="service_type")
    def service(self, voucher_type: VoucherType) -> str:
        return service_name(voucher_type.service_type)

    @admin.display(description="price", ordering="price")
    def price_shown(self, voucher_type: VoucherType) -> str:
        return format_amount(voucher_type.price, voucher_type.currency)

    @admin.display(description="uses", ordering="max_uses")
    def uses(self, voucher_type: VoucherType) -> str:
        return f"{voucher_type.max_uses:,}"

    @admin.display(description="valid for", ordering="validity_days")
    def validity(self, voucher_type: VoucherType) -> str:
        return "1 day" if voucher_type.validity_days == 1 else f"{voucher_type.validity_days:,} days"

    @admin.display(description="vouchers")
    def issued(self, voucher_type: Any) -> str:
        address = f"{list_address(Voucher)}?voucher_type__id__exact={voucher_type.pk}"
        return link(address, shown_number(voucher_type.vouchers_counted, MAX_LISTED))
