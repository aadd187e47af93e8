"""What screens of the admin share."""

from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline


class LookedAt:
    """Rows that only services write: nobody adds, changes or deletes them here, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LookedAtAdmin(LookedAt, ModelAdmin):
    actions = None
    list_per_page = 50
    show_full_result_count = False


class LookedAtInline(LookedAt, TabularInline):
    extra = 0
    per_page = 20
    hide_title = True
