"""The mail queue, for staff: what went out when, never what it says."""

from typing import Any

import post_office.admin  # noqa: F401 - registers what is unregistered here
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from post_office.models import STATUS, Attachment, Email, EmailTemplate, Log
from unfold.admin import ModelAdmin

from apps.core.backoffice.read_only import ReadOnly

for model in (Email, EmailTemplate, Log, Attachment):
    admin.site.unregister(model)  # its own screens show bodies, and these hold working links


@admin.register(Email)
class EmailAdmin(ReadOnly, ModelAdmin):
    """Mail holds links that open accounts, and codes: neither is for staff to read."""

    list_display = ("recipient", "subject", "status", "number_of_retries", "created", "last_updated")
    list_filter = ("status", "created")
    search_fields = ("to", "subject")
    ordering = ("-id",)
    fields = (
        "recipient",
        "subject",
        "status",
        "number_of_retries",
        "failure",
        "created",
        "last_updated",
        "scheduled_time",
        "expires_at",
    )
    readonly_fields = fields
    actions = ("send_again",)
    change_form_template = "admin/change_form.html"  # post_office's own has a button to send it once more

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        mails: QuerySet[Any] = super().get_queryset(request)
        return mails.exclude(to="").defer("message", "html_message")

    @admin.display(description="to", ordering="to")
    def recipient(self, email: Any) -> str:
        return ", ".join(email.to)

    @admin.display(description="last failure")
    def failure(self, email: Any) -> str:
        entry = Log.objects.filter(email=email).order_by("-id").first()
        return f"{entry.exception_type}: {entry.message}" if entry else ""

    @admin.action(description="Try the selected failed mails again", permissions=["send_again"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        again = queryset.filter(status=STATUS.failed).update(
            status=STATUS.queued, scheduled_time=None, number_of_retries=0, last_updated=timezone.now()
        )
        messages.success(request, f"Waiting again: {again}.")

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("post_office.change_email")
