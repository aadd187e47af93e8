"""Sessions, for staff: to see, and to end; and what the screen of users does about them."""

from typing import Any, Final

import django_otp.plugins.otp_static.admin
import django_otp.plugins.otp_totp.admin  # noqa: F401
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.core.backoffice.filters import ChoiceFilter, DayRangeFilter, of_row
from apps.core.backoffice.pages import Part
from apps.core.backoffice.read_only import ReadOnlyAdmin
from apps.users.admin import UserAdmin
from apps.users.models import User

from . import services
from .models import Session

for model in (StaticDevice, TOTPDevice):
    admin.site.unregister(model)  # their own screens show secrets, and let staff give themselves a factor


@admin.action(description="End all sessions", permissions=["change"])
def revoke_all_sessions(screen: UserAdmin, request: HttpRequest, queryset: QuerySet[User]) -> None:
    chosen = screen.within_reach(request, queryset)
    for user in chosen:
        services.revoke_all_sessions(user=user)
        screen.log_change(request, user, "Ended all sessions.")
    messages.success(request, f"Signed out everywhere: {len(chosen)}.")


@admin.action(description="Send a link for a new password", permissions=["change"])
def send_password_reset(screen: UserAdmin, request: HttpRequest, queryset: QuerySet[User]) -> None:
    chosen = screen.within_reach(request, queryset)
    able = [user for user in chosen if user.is_active and user.has_usable_password()]
    for user in able:
        services.request_password_reset(email=user.email)
        screen.log_change(request, user, "Sent a link for a new password.")
    if len(able) < len(chosen):
        messages.warning(request, f"Deactivated, or without a password: {len(chosen) - len(able)}.")
    messages.success(request, f"On their way: {len(able)}.")


class OpenFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> QuerySet[Session]:
        if self.value() == "open":
            return queryset.filter(ended_at=None, expires_at__gt=timezone.now())
        return queryset


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("user", "created_at", "refreshed_at", "expires_at", "ended_at")
    list_filter = (OpenFilter, ("expires_at", DayRangeFilter), of_row("person", "user"))
    ordering = ("-expires_at", "-id")  # by an index; a session in use expires last
    list_select_related = ("user",)
    search_fields = ("user__email",)
    fields = ("user", "created_at", "refreshed_at", "expires_at", "ended_at", "second_factor_at")
    actions = ("end",)

    @admin.action(description="End the selected sessions", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        out_of_reach = UserAdmin.out_of_reach(request)
        sessions = queryset.filter(ended_at=None).exclude(user__in=out_of_reach).select_related("user")
        for session in sessions:
            services.revoke_session(user=session.user, sid=session.pk)
        messages.success(request, f"Ended: {len(sessions)}.")

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("authentication.change_session")


def state_of(session: Session) -> str:
    """Whether a session is open, or how it ended, in a word."""
    if session.ended_at:
        return "Ended"
    return "Open" if session.expires_at > timezone.now() else "Expired"


SESSIONS: Final = Part(
    "Sessions",
    Session,
    lambda person: Session.objects.filter(user=person).order_by("-created_at", "-id"),
    (
        ("began", lambda session: session.created_at),
        ("state", state_of),
        ("last used", lambda session: session.refreshed_at),
        ("expires", lambda session: session.expires_at),
        ("ended", lambda session: session.ended_at),
    ),
    "person",
)
