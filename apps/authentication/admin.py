"""Sessions, for staff: to see, and to end."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from . import services
from .models import Session


@admin.register(Session)
class SessionAdmin(ModelAdmin):
    list_display = ("user", "created_at", "refreshed_at", "expires_at", "ended_at")
    list_filter = ("created_at", "ended_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    fields = ("user", "created_at", "refreshed_at", "expires_at", "ended_at")
    actions = ("end",)

    @admin.action(description="End the selected sessions", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        sessions = queryset.filter(ended_at=None).select_related("user")
        for session in sessions:
            services.end_session(user=session.user, sid=session.pk)
        messages.success(request, f"Ended: {len(sessions)}.")

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authentication.change_session")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
