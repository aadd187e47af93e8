"""Stripe's events, for staff: which came, and which wait to be applied."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core.backoffice.attention import AttentionFilter
from apps.core.backoffice.filters import ChoiceFilter
from apps.core.backoffice.read_only import ReadOnlyAdmin
from apps.payments.models import StripeEvent


class WaitingFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting"), ("applied", "Applied")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StripeEvent]) -> QuerySet[StripeEvent]:
        match self.value():
            case "waiting":
                return queryset.filter(processed_at=None)
            case "applied":
                return queryset.exclude(processed_at=None)
        return queryset


class StripeEventAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "type", "object_id", "attempts", "outcome", "processed_at")
    list_filter = (AttentionFilter, WaitingFilter)
    ordering = ("-id",)  # as they came, by an index
    search_fields = ("=stripe_id", "=object_id", "type")
    search_help_text = "An event, an object, or part of a type"
    fields = ("stripe_id", "type", "object_id", "received_at", "processed_at", "outcome", "attempts")
