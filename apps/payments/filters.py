"""What the list of transactions can be narrowed by."""

from typing import ClassVar

from django_filters import rest_framework as filters

from apps.core.api.filters import with_period

from .models import Transaction, TransactionStatus


@with_period("created_at")
class TransactionFilters(filters.FilterSet):
    status = filters.ChoiceFilter(choices=TransactionStatus.choices)

    class Meta:
        model = Transaction
        fields: ClassVar[list[str]] = []
