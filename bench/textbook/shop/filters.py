from django.db.models import Q
from django.utils import timezone
from django_filters import rest_framework as filters

from .models import Transaction, Voucher, VoucherUsage


def status_q(status):
    """The condition on a voucher's columns for one of its four states, now."""
    unused, current = Q(uses_remaining__gt=0), Q(expiry_date__gt=timezone.now())
    return {
        "inactive": Q(is_active=False),
        "used": Q(is_active=True, uses_remaining=0),
        "expired": Q(is_active=True) & unused & ~current,
        "active": Q(is_active=True) & unused & current,
    }[status]


class VoucherFilter(filters.FilterSet):
    status = filters.ChoiceFilter(
        choices=[(status, status) for status in ("active", "used", "expired", "inactive")],
        method="filter_status",
    )
    service_type = filters.CharFilter(field_name="voucher_type__service_type")

    class Meta:
        model = Voucher
        fields = ["status", "voucher_type", "service_type"]

    def filter_status(self, queryset, name, value):
        return queryset.filter(status_q(value))


class UsageFilter(filters.FilterSet):
    class Meta:
        model = VoucherUsage
        fields = ["service_type"]


class TransactionFilter(filters.FilterSet):
    class Meta:
        model = Transaction
        fields = ["status"]
