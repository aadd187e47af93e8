"""What the lists of vouchers can be narrowed by."""

from typing import ClassVar

from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters

from apps.core.api.filters import IdFilter, TextFilter, with_period

from . import codes
from .models import Voucher, VoucherType, VoucherUsage
from .states import VoucherStatus

OLDER_INACTIVE = "cancelled"  # as the older web client asks for inactive vouchers
ORDERINGS = ("purchase_date", "-purchase_date", "expiry_date", "-expiry_date")


class VoucherFilters(filters.FilterSet):
    status = filters.ChoiceFilter(
        choices=[*VoucherStatus.choices, (OLDER_INACTIVE, "An older name of inactive.")],
        method="by_status",
        label=f"Only those in this state. `{OLDER_INACTIVE}` is an older name of `{VoucherStatus.INACTIVE}`.",
    )
    voucher_type = IdFilter(field_name="voucher_type_id")
    service_type = TextFilter(max_length=50)
    search = TextFilter(
        method="by_words",
        max_length=codes.LONGEST_INPUT,
        label="A code or its link, its last four symbols, or part of the type's name.",
    )
    ordering = filters.ChoiceFilter(choices=[(name, name) for name in ORDERINGS], method="in_order")

    class Meta:
        model = Voucher
        fields: ClassVar[list[str]] = []

    def by_status(self, vouchers: QuerySet[Voucher], name: str, value: str) -> QuerySet[Voucher]:
        status = VoucherStatus.INACTIVE if value == OLDER_INACTIVE else value
        return vouchers.in_status(status, timezone.now())  # type: ignore[attr-defined, no-any-return]

    def by_words(self, vouchers: QuerySet[Voucher], name: str, value: str) -> QuerySet[Voucher]:
        """What the words mean is looked up first: so each condition is on a column that an index has."""
        if code := codes.parse_or_none(value):
            return vouchers.filter(code=code)
        types = VoucherType.objects.order_by().filter(name__icontains=value).values_list("pk", flat=True)
        matches = Q(voucher_type__in=list(types))
        if codes.is_last_four(value):
            ending = vouchers.order_by().filter(code__last_four=value.upper()).values_list("pk", flat=True)
            matches |= Q(pk__in=list(ending))
        return vouchers.filter(matches)

    def in_order(self, vouchers: QuerySet[Voucher], name: str, value: str) -> QuerySet[Voucher]:
        tie_break = "-id" if value.startswith("-") else "id"
        return vouchers.order_by(value, tie_break)


@with_period("used_at")
class UsageFilters(filters.FilterSet):
    service_type = TextFilter(max_length=50)

    class Meta:
        model = VoucherUsage
        fields: ClassVar[list[str]] = []
