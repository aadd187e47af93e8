"""What the page of a person shows of payments: purchases and refunds."""

from typing import Any

from django.db.models import QuerySet

from apps.core.backoffice.pages import Part
from apps.payments.backoffice.columns import money
from apps.payments.models import Refund, Transaction
from apps.payments.selectors import transactions_of
from apps.users.admin import UserAdmin


def refunds_of(person: Any) -> QuerySet[Refund]:
    """Refunds of a person's purchases, whoever asked for them, newest first."""
    refunds = Refund.objects.filter(transaction__user=person).select_related("transaction")
    return refunds.order_by("-created_at", "-id")


def extend_person_screen() -> None:
    """Add both to the page of a person."""
    UserAdmin.register_part(
        Part(
            "Purchases",
            Transaction,
            transactions_of,
            (
                ("number", lambda paid: paid.pk),
                ("what", lambda paid: f"{paid.quantity} × {paid.sold_as}"),
                ("amount", lambda paid: money(paid.amount, paid)),
                ("refunded", lambda paid: money(paid.amount_refunded, paid) if paid.amount_refunded else ""),
                ("status", lambda paid: paid.get_status_display()),
                ("at", lambda paid: paid.created_at),
            ),
            "person",
        ),
        Part(
            "Refunds",
            Refund,
            refunds_of,
            (
                ("number", lambda refund: refund.pk),
                ("amount", lambda refund: money(refund.amount, refund.transaction)),
                ("status", lambda refund: refund.get_status_display()),
                ("asked for by", lambda refund: refund.get_origin_display()),
                ("purchase", lambda refund: refund.transaction_id),
                ("at", lambda refund: refund.created_at),
            ),
            "person",
        ),
    )
