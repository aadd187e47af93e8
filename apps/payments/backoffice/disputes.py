"""Disputes, for staff: looked at here, and answered in Stripe's dashboard."""

from typing import Any

from django.contrib import admin
from unfold.decorators import display

from apps.core.backoffice.attention import AttentionFilter
from apps.core.backoffice.filters import DayRangeFilter
from apps.core.backoffice.lists import totals_by_currency
from apps.core.backoffice.read_only import ReadOnlyAdmin
from apps.payments.backoffice.columns import OfTransaction
from apps.payments.backoffice.stripe_dashboard import dashboard_link
from apps.payments.models import NEEDS_RESPONSE, Dispute, DisputeOutcome
from apps.vouchers.backoffice.code_search import FoundByCode

OUTCOME_COLOURS = {"Open": "warning", "Won": "success", "Lost": "danger"}


class DisputeAdmin(OfTransaction, FoundByCode, ReadOnlyAdmin):
    list_display = (
        "id",
        "outcome_shown",
        "stripe_status",
        "amount_shown",
        "buyer",
        "reason_shown",
        "transaction_link",
        "opened_at",
        "respond_by",
        "closed_at",
        "next_step",
    )
    list_filter = (AttentionFilter, "outcome", ("opened_at", DayRangeFilter))
    sortable_by = None  # few of all payments are disputed
    total_fields = ("transaction__currency", "outcome", "amount")
    list_select_related = ("transaction__user",)
    code_field = "transaction__sold_vouchers__voucher__code"
    search_fields = ("=id", "=transaction__id", "=stripe_dispute_id", "transaction__user__email")
    search_help_text = (
        "A number, a transaction's number, a dispute at Stripe, an e-mail address, or a voucher's code or its last"
        " four symbols"
    )
    fieldsets = (
        (
            None,
            {
                "fields": (("outcome_shown", "amount_shown"), ("transaction_link", "buyer")),
                "description": "It is answered in Stripe's dashboard.",
            },
        ),
        ("Stripe", {"fields": (("at_stripe", "stripe_status"), "reason_shown")}),
        ("Times", {"fields": (("opened_at", "respond_by"), ("closed_at", "updated_at"))}),
    )
    readonly_fields = (
        "outcome_shown",
        "amount_shown",
        "transaction_link",
        "buyer",
        "at_stripe",
        "reason_shown",
        "updated_at",
    )

    def totals(self, rows: list[Any]) -> list[tuple[str, str]]:
        return [
            (
                str(outcome.label),
                totals_by_currency(
                    (currency, amount) for currency, ended, amount in rows if ended == outcome
                ),
            )
            for outcome in DisputeOutcome
        ]

    @admin.display(description="dispute at Stripe")
    def at_stripe(self, dispute: Dispute) -> str:
        return dashboard_link("disputes", dispute.stripe_dispute_id)

    @admin.display(description="next step")
    def next_step(self, dispute: Dispute) -> str:
        """Where the bank waits for an answer, the place to give it."""
        if dispute.outcome != DisputeOutcome.OPEN or dispute.stripe_status not in NEEDS_RESPONSE:
            return ""
        return dashboard_link("disputes", dispute.stripe_dispute_id, "Answer at Stripe")

    @admin.display(description="reason", ordering="reason")
    def reason_shown(self, dispute: Dispute) -> str:
        return dispute.reason.replace("_", " ").capitalize()

    @display(description="outcome", ordering="outcome", label=OUTCOME_COLOURS)
    def outcome_shown(self, dispute: Dispute) -> str:
        return dispute.get_outcome_display()
