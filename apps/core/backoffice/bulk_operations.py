"""Bulk operations in the admin: the page that says in numbers what one would do and starts it, and the page of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.enums import ActionVariant

from apps.core import bulk_operations
from apps.core.backoffice.addresses import row_address, view_permission
from apps.core.backoffice.attention import AttentionFilter
from apps.core.backoffice.confirmed_actions import ConfirmedActionsAdmin, ConfirmOnlyForm, confirmed_action
from apps.core.backoffice.read_only import ReadOnlyAdmin, link_to
from apps.core.bulk_operation_models import STALLED_AFTER, subject_of
from apps.core.errors import DomainError, ForbiddenError
from apps.core.models import BulkOperation, BulkOperationStatus

CONTROL: Final = "core.control_bulkoperation"
REFRESH_SECONDS: Final = 3
STATUS_COLOURS = {
    "Queued": "warning",
    "Running": "info",
    "Completed": "success",
    "Stopped": "warning",
    "Failed": "danger",
}
NO_WORKERS: Final = (
    "There are no workers here: “Continue” does some seconds of it, manage.py run_bulk_operations all."
)
MAX_SHOWN: Final = 10  # operations on the page of the row that they are about


class NotAllowed(ForbiddenError):
    code = "not_allowed"
    detail = "You may not do what this operation does."


@dataclass(frozen=True)
class DryRun:
    """What an operation would do now: figures with their words, and remarks. `is_empty` if it would change nothing."""

    figures: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    is_empty: bool = False


def ask_and_start(
    screen: ModelAdmin,
    request: HttpRequest,
    row: Model,
    *,
    title: str,
    effect: str,
    dry_run: DryRun,
    form: forms.Form,
    start: Callable[[dict[str, Any]], BulkOperation],
    danger: bool = False,
) -> HttpResponse:
    """The page that asks, with the dry run; once `form` is valid `start` is called with what it has.

    The answer then leads to the page of the operation. A DomainError of `start` is told on the page.
    """
    back = row_address(row)
    if form.is_valid():
        try:
            operation = start(form.cleaned_data)
        except DomainError as error:
            form.add_error(None, error.detail)
        else:
            screen.log_change(request, row, f"{operation.label}: {operation.reason}")
            messages.success(request, f"Started: {operation.label}.")
            if not request.user.has_perm(view_permission(BulkOperation)):
                return redirect(back)
            return redirect(row_address(operation))
    context = {
        **screen.admin_site.each_context(request),
        "title": title,
        "opts": screen.opts,
        "original": row,
        "effect": effect,
        "dry_run": dry_run,
        "form": form,
        "danger": danger,
        "back": back,
    }
    return TemplateResponse(request, "core/start_bulk_operation.html", context)


@admin.display(description="operations")
def operations_of(row: Model) -> str:
    """The latest operations on a row, each a link with its status: a field for the page of the row."""
    operations = BulkOperation.objects.filter(subject=subject_of(row)).order_by("-id")[:MAX_SHOWN]
    lines = ((link_to(each), each.get_status_display().lower()) for each in operations)
    return format_html_join(format_html("<br>"), "{}, {}", lines)


class BulkOperationAdmin(ConfirmedActionsAdmin, ReadOnlyAdmin):
    """How far operations are and what came of them. Who may do what one does may stop and continue it."""

    list_display = ("label", "status_shown", "progress", "actor", "created_at", "finished_at")
    list_filter = (AttentionFilter, "status")
    list_select_related = ("actor",)
    search_fields = ("label", "actor__email")
    search_help_text = "Part of what is done, or of an e-mail address"
    fieldsets = (
        (None, {"fields": ("label", "status_shown", "progress", "obstacle")}),
        ("Result", {"fields": ("outcomes",)}),
        ("Start", {"fields": (("actor", "created_at"), "reason", ("updated_at", "finished_at"))}),
    )
    readonly_fields = ("status_shown", "progress", "obstacle", "outcomes")
    actions = ("resume", "stop")
    actions_detail = actions

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page loads itself anew while the operation is open."""
        response: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        operation = getattr(response, "context_data", {}).get("original")
        if operation is not None and operation.is_open:
            response.headers["Refresh"] = str(REFRESH_SECONDS)
        return response

    @confirmed_action(
        permission=CONTROL,
        description="Continue",
        done="Goes on",
        effect="It goes on where it was: nothing is done twice.",
        form=ConfirmOnlyForm,
        applies=lambda operation, user: _can_continue(operation),
        icon="play_arrow",
    )
    def resume(self, request: HttpRequest, rows: list[BulkOperation], form_data: dict[str, Any]) -> bool:
        [operation] = rows
        _require_kind(request, operation)
        bulk_operations.resume(operation_id=operation.pk)
        return True

    @confirmed_action(
        permission=CONTROL,
        description="Stop",
        done="Stopped",
        effect="What was done stays, and the rest is left alone. It can be continued later.",
        form=ConfirmOnlyForm,
        applies=lambda operation, user: operation.is_open or operation.status == BulkOperationStatus.FAILED,
        variant=ActionVariant.DANGER,
        icon="stop",
    )
    def stop(self, request: HttpRequest, rows: list[BulkOperation], form_data: dict[str, Any]) -> bool:
        [operation] = rows
        _require_kind(request, operation)
        bulk_operations.stop(operation_id=operation.pk)
        return True

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_shown(self, operation: BulkOperation) -> str:
        return operation.get_status_display()

    @admin.display(description="progress")
    def progress(self, operation: BulkOperation) -> str:
        total = max(operation.total, operation.handled)
        return format_html(
            '<progress class="max-w-full" aria-label="Progress" max="{}" value="{}"></progress> {} of {}{}',
            max(total, 1),
            operation.handled if total else 1,
            f"{operation.handled:,}",
            f"{total:,}",
            f", {operation.stage}" if operation.stage else "",
        )

    @admin.display(description="why it does not go on")
    def obstacle(self, operation: BulkOperation) -> str:
        """The error, and what to do where nobody is at it."""
        lines = [operation.error] if operation.error else []
        if operation.is_open and not bulk_operations.has_workers():
            lines.append(NO_WORKERS)
        elif operation.is_open and _is_stalled(operation):
            minutes = STALLED_AFTER // timedelta(minutes=1)
            lines.append(f"Nothing was done for {minutes} minutes: look whether worker and schedule run.")
        elif operation.is_open and operation.error:
            lines.append("It is tried again within a few minutes.")
        return " ".join(lines)

    @admin.display(description="so far")
    def outcomes(self, operation: BulkOperation) -> str:
        lines = ((f"{number:,}", words) for words, number in bulk_operations.outcomes_of(operation))
        return format_html_join("", "<div>{} {}</div>", lines)


def _is_stalled(operation: BulkOperation) -> bool:
    return operation.updated_at < timezone.now() - STALLED_AFTER


def _can_continue(operation: BulkOperation) -> bool:
    """Whether an operation is not at its end, and may wait for somebody to continue it by hand."""
    if operation.is_open:
        return bool(operation.error) or not bulk_operations.has_workers() or _is_stalled(operation)
    return operation.status != BulkOperationStatus.COMPLETED


def _require_kind(request: HttpRequest, operation: BulkOperation) -> None:
    """Whoever may not start such an operation may not control one either. Raises NotAllowed."""
    if not request.user.has_perms(bulk_operations.permissions_of(operation)):
        raise NotAllowed
