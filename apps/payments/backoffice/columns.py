"""What screens of payments, refunds and disputes share."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.core.backoffice.read_only import ReadOnlyInline, link_to
from apps.core.money import format_amount
from apps.payments.models import Transaction


def money(amount: Decimal, paid: Transaction) -> str:
    """An amount of a transaction, as people read it."""
    return format_amount(amount, paid.currency)


class VoucherLines(ReadOnlyInline):
    """Lines that are about a voucher each."""

    readonly_fields: tuple[str, ...] = ("voucher_link", "voucher_status", "uses")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        lines: QuerySet[Any] = super().get_queryset(request)
        return lines.select_related("voucher")

    @admin.display(description="voucher")
    def voucher_link(self, line: Any) -> str:
        return link_to(line.voucher)

    @admin.display(description="status")
    def voucher_status(self, line: Any) -> str:
        return str(line.voucher.status_at(timezone.now()).label)

    @admin.display(description="uses made")
    def uses(self, line: Any) -> str:
        return f"{line.voucher.uses_made} of {line.voucher.total_uses}"


class OfTransaction:
    """What screens of refunds and disputes say of the transaction."""

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, row: Any) -> str:
        return money(row.amount, row.transaction)

    @admin.display(description="transaction", ordering="transaction")
    def transaction_link(self, row: Any) -> str:
        return link_to(row.transaction, row.transaction_id)

    @admin.display(description="buyer", ordering="transaction__user__email")
    def buyer(self, row: Any) -> str:
        return str(row.transaction.user)
