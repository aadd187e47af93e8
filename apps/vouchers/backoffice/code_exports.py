"""Exports of codes that need a second person, for staff: asked for on the page of the batch, and decided here.

The rules, and after how long an approval lapses, are in apps/vouchers/services/code_exports.py.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.backoffice.attention import AttentionFilter, AttentionItem
from apps.core.backoffice.confirmed_actions import (
    MAX_REASON_LENGTH,
    ActionTarget,
    ConfirmedActionsAdmin,
    ReasonForm,
    confirmed_action,
)
from apps.core.backoffice.filters import DayRangeFilter
from apps.core.backoffice.read_only import ReadOnlyAdmin, link_to
from apps.core.errors import DomainError
from apps.core.money import format_amount
from apps.users.current_user import current_user
from apps.users.models import User
from apps.vouchers.models import Batch, CodeExportRequest, CodeExportStatus
from apps.vouchers.services import code_exports

DECIDE: Final = "vouchers.decide_code_export"
STATUS_COLOURS = {
    "Requested": "warning",
    "Approved": "info",
    "Exported": "success",
    "Rejected": "danger",
}


class ExportReasonForm(ReasonForm):
    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="For whom the codes are. Whoever decides reads it.",
    )


class ExportDecisionForm(ReasonForm):
    reason = forms.CharField(
        label="Note",
        max_length=MAX_REASON_LENGTH,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It stays with the request.",
    )


def ask_for_approval(
    screen: ModelAdmin, request: HttpRequest, batch: Batch, title: str
) -> HttpResponse | None:
    """The page on which somebody asks for the codes of a batch, or what came of asking; None if they may take them."""
    if batch.completed_at is None or not code_exports.needs_second_person(batch):
        return None
    actor = current_user(request)
    back = reverse("admin:vouchers_batch_change", args=(batch.pk,))
    earlier = code_exports.open_request_of(actor, batch)
    if earlier is not None and earlier.status == CodeExportStatus.APPROVED:
        return None
    if earlier is not None:
        messages.warning(request, "You have asked for these codes. Somebody else has to approve it first.")
        return redirect(back)
    form = ExportReasonForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            code_exports.request_code_export(batch=batch, actor=actor, reason=form.cleaned_data["reason"])
        except DomainError as error:
            messages.error(request, error.detail)
        else:
            screen.log_change(request, batch, f"Asked for the codes: {form.cleaned_data['reason']}")
            messages.success(request, "Asked for. Once somebody else has approved it, take the codes here.")
        return redirect(back)
    context = {
        **screen.admin_site.each_context(request),
        "title": f"Ask to {title[0].lower()}{title[1:]}",
        "opts": screen.opts,
        "original": batch,
        "effect": "These codes are worth more than one person may take alone. Somebody else has to approve it.",
        "chosen": "1 batch",
        "targets": [ActionTarget([batch], f"{batch}: {batch.quantity:,} codes, {value_of(batch)}")],
        "form": form,
        "back": back,
    }
    return TemplateResponse(request, "core/confirmed_action.html", context)


def value_of(batch: Batch) -> str:
    """What the vouchers of a batch cost together, for people: at today's price too, where that may be what counts."""
    (own, currency), (today, currency_today) = code_exports.values_of(batch)
    text = format_amount(own, currency)
    if currency_today == currency and today <= own:
        return text
    return f"{text}, {format_amount(today, currency_today)} at today's price"


def codes_of(requests: Iterable[CodeExportRequest]) -> list[ActionTarget]:
    """Each request by its batch, with how many codes it has and what they are worth."""
    return [
        ActionTarget(
            [each],
            f"{each.batch.quantity:,} codes of {each.batch}, {value_of(each.batch)}, for {each.requested_by}",
        )
        for each in requests
    ]


def is_undecided(export_request: CodeExportRequest, user: User) -> bool:
    """Whether somebody has to decide about a request."""
    return export_request.status == CodeExportStatus.REQUESTED


def exports_requested(now: datetime) -> QuerySet[CodeExportRequest]:
    """Requests for codes that somebody has to decide about."""
    return CodeExportRequest.objects.filter(status=CodeExportStatus.REQUESTED)


EXPORTS_REQUESTED: Final = AttentionItem(
    "exports_requested", "Exports of codes to decide about", CodeExportRequest, exports_requested
)


class CodeExportRequestAdmin(ConfirmedActionsAdmin, ReadOnlyAdmin):
    keeps_log = True
    list_display = (
        "requested_at",
        "status_shown",
        "batch",
        "codes",
        "value",
        "requested_by",
        "decided_by",
        "decided_at",
        "next_step",
    )
    list_filter = (AttentionFilter, "status", ("requested_at", DayRangeFilter))
    sortable_by = None  # staff ask for them, so there are few
    list_select_related = ("batch__voucher_type", "requested_by", "decided_by")
    search_fields = ("batch__label", "requested_by__email")
    search_help_text = "Part of a batch's label, or of the address of who asked"
    fieldsets = (
        (None, {"fields": (("status_shown", "batch_link"), ("codes", "value"))}),
        ("Request", {"fields": (("requested_by", "requested_at"), "reason")}),
        ("Decision", {"fields": (("decided_by", "decided_at"), "decision_note", "export")}),
    )
    readonly_fields = ("status_shown", "batch_link", "codes", "value")
    actions = ("approve", "reject")
    actions_detail = actions
    actions_in_rows = actions

    @confirmed_action(
        permission=DECIDE,
        fresh_proof=True,
        description="Approve",
        done="Approved",
        effect="Who asked for the codes may then take them once, in full, within seven days.",
        form=ExportDecisionForm,
        targets=codes_of,
        applies=lambda export, user: is_undecided(export, user) and export.requested_by_id != user.pk,
        icon="check_circle",
    )
    def approve(self, request: HttpRequest, rows: list[CodeExportRequest], form_data: dict[str, Any]) -> bool:
        [export_request] = rows
        code_exports.approve_code_export(
            request_id=export_request.pk, actor=current_user(request), note=form_data["reason"]
        )
        return True

    @confirmed_action(
        permission=DECIDE,
        fresh_proof=True,
        description="Reject",
        done="Rejected",
        effect="No code leaves.",
        form=ExportDecisionForm,
        targets=codes_of,
        applies=is_undecided,
        variant=ActionVariant.DANGER,
        icon="cancel",
    )
    def reject(self, request: HttpRequest, rows: list[CodeExportRequest], form_data: dict[str, Any]) -> bool:
        [export_request] = rows
        code_exports.reject_code_export(
            request_id=export_request.pk, actor=current_user(request), note=form_data["reason"]
        )
        return True

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_shown(self, export_request: CodeExportRequest) -> str:
        return export_request.get_status_display()

    @display(description="batch")
    def batch_link(self, export_request: CodeExportRequest) -> str:
        return link_to(export_request.batch)

    @display(description="codes")
    def codes(self, export_request: CodeExportRequest) -> str:
        return f"{export_request.batch.quantity:,}"

    @display(description="value")
    def value(self, export_request: CodeExportRequest) -> str:
        return value_of(export_request.batch)
