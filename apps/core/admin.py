"""The mail queue, results of jobs, bulk operations and exports, for staff; never what a mail says."""

from collections.abc import Iterable
from typing import Any

import post_office.admin  # noqa: F401 - registers what is unregistered here
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from post_office.models import STATUS, Attachment, Email, EmailTemplate, Log

from apps.core.backoffice.attention import AttentionFilter, AttentionItem, register
from apps.core.backoffice.bulk_operations import BulkOperationAdmin
from apps.core.backoffice.confirmed_actions import (
    ActionTarget,
    ConfirmedActionsAdmin,
    ConfirmOnlyForm,
    confirmed_action,
)
from apps.core.backoffice.filters import DayRangeFilter
from apps.core.backoffice.read_only import ReadOnlyAdmin
from apps.core.models import BulkOperation, DataExport, JobResult

for model in (Email, EmailTemplate, Log, Attachment):
    admin.site.unregister(model)  # its own screens show bodies, and these hold working links


def addressed(emails: Iterable[Any]) -> list[ActionTarget]:
    """Each mail by its subject, and to whom it goes."""
    return [ActionTarget([each], f"{each.subject}, to {', '.join(each.to)}") for each in emails]


@admin.register(Email)
class EmailAdmin(ConfirmedActionsAdmin, ReadOnlyAdmin):
    """Mail holds links that open accounts, and codes: neither is for staff to read."""

    keeps_log = True
    list_display = (
        "recipient",
        "subject",
        "status",
        "number_of_retries",
        "created",
        "last_updated",
        "next_step",
    )
    list_filter = (AttentionFilter, "status", ("created", DayRangeFilter))
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
    actions_detail = actions
    actions_in_rows = actions
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

    @confirmed_action(
        permission="post_office.change_email",
        description="Send again",
        done="Waiting to be sent again",
        effect="For mail that could not be sent. It is tried again for a day.",
        form=ConfirmOnlyForm,
        targets=addressed,
        applies=lambda email, user: email.status == STATUS.failed,
        icon="send",
    )
    def send_again(self, request: HttpRequest, rows: list[Any], form_data: dict[str, Any]) -> bool:
        [email] = rows
        failed = Email.objects.filter(pk=email.pk, status=STATUS.failed)
        again = {"status": STATUS.queued, "scheduled_time": None, "number_of_retries": 0}
        return bool(failed.update(**again, last_updated=timezone.now()))


@admin.register(JobResult)
class JobResultAdmin(ReadOnlyAdmin):
    list_display = ("name", "finished_at", "problems", "complete", "next_due_at")
    sortable_by = None  # a row a job
    list_filter = (AttentionFilter,)
    fields = ("name", ("finished_at", "next_due_at"), ("problems", "complete"), "details_shown")
    readonly_fields = ("details_shown",)

    @admin.display(description="details")
    def details_shown(self, result: JobResult) -> str:
        return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in result.details)) or "None"


register(
    AttentionItem(
        "jobs",
        "Checks that found something, or did not run",
        JobResult,
        JobResult.objects.needing_attention,
        note=lambda now: ", ".join(map(str, JobResult.objects.needing_attention(now))),
        urgent=True,
    ),
    AttentionItem(
        "bulk_operations",
        "Bulk operations that failed or do not go on",
        BulkOperation,
        BulkOperation.objects.needing_attention,
        urgent=True,
    ),
    AttentionItem(
        "mail_failed",
        "Mail that could not be sent",
        Email,
        lambda now: Email.objects.filter(status=STATUS.failed).exclude(to=""),
    ),
)


admin.site.register(BulkOperation, BulkOperationAdmin)


@admin.register(DataExport)
class DataExportAdmin(ReadOnlyAdmin):
    """Which tables left in files, and who took them."""

    list_display = ("at", "table", "file_type", "actor", "criteria", "rows", "note")
    list_filter = ("table", ("at", DayRangeFilter))
    list_select_related = ("actor",)
    search_fields = ("actor__email",)
    search_help_text = "An e-mail address"
    fields = (("table", "file_type"), ("at", "finished_at"), ("actor", "note"), "criteria", "rows")
