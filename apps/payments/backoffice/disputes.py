"""Disputes, for staff: looked at here, and answered in Stripe's dashboard."""

from unfold.decorators import display

from apps.core.backoffice.attention import AttentionFilter
from apps.core.backoffice.read_only import ReadOnlyAdmin
from apps.payments.backoffice.columns import OfTransaction
from apps.payments.models import Dispute
from apps.vouchers.backoffice.code_search import FoundByCode

OUTCOME_COLOURS = {"Open": "warning", "Won": "success", "Lost": "danger"}


class DisputeAdmin(OfTransaction, FoundByCode, ReadOnlyAdmin):
    list_display = (
        "id",
        "outcome_shown",
        "stripe_status",
        "amount_shown",
        "buyer",
        "reason",
        "transaction_link",
        "opened_at",
        "respond_by",
        "closed_at",
    )
    list_filter = (AttentionFilter, "outcome", "opened_at")
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
        ("Stripe", {"fields": (("stripe_dispute_id", "stripe_status"), "reason")}),
        ("Times", {"fields": (("opened_at", "respond_by", "closed_at", "updated_at"),)}),
    )
    readonly_fields = ("outcome_shown", "amount_shown", "transaction_link", "buyer", "updated_at")

    @display(description="outcome", ordering="outcome", label=OUTCOME_COLOURS)
    def outcome_shown(self, dispute: Dispute) -> str:
        return dispute.get_outcome_display()
