"""The page of what waits for a second person: refunds and exports of codes above the set amounts."""

from collections.abc import Iterable
from typing import Any, Final

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from apps.core.backoffice.read_only import link_to
from apps.payments.backoffice.columns import money
from apps.payments.models import Refund
from apps.users.current_user import current_user
from apps.users.models import User
from apps.vouchers.backoffice.code_exports import value_of
from apps.vouchers.models import CodeExportRequest, CodeExportStatus

SHOWN: Final = 50  # of each kind, the longest waiting first; a link leads to all of them
DECIDE_REFUND, DECIDE_EXPORT = "payments.decide_refund", "vouchers.decide_code_export"


def approvals_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What waits for a second person, for whoever may decide about some of it."""
    user = current_user(request)
    sections = []
    if user.has_perm(DECIDE_REFUND) and user.has_perm("payments.view_refund"):
        sections.append(_refunds(user))
    if user.has_perm(DECIDE_EXPORT) and user.has_perm("vouchers.view_codeexportrequest"):
        sections.append(_exports(user))
    if not sections:
        raise PermissionDenied
    context = {**site.each_context(request), "title": "Approvals", "sections": sections}
    return TemplateResponse(request, "payments/approvals.html", context)


def _refunds(user: User) -> dict[str, Any]:
    waiting = Refund.objects.waiting_for_second_person().order_by("created_at", "pk")
    refunds = list(waiting.select_related("transaction__user", "requested_by")[: SHOWN + 1])
    rows = (
        (
            link_to(refund, f"Refund {refund.pk}"),
            money(refund.amount, refund.transaction),
            f"to {refund.transaction.user}",
            *_request(refund.requested_by, refund.created_at, refund.reason),
            _decision(refund, refund.requested_by, user),
        )
        for refund in refunds[:SHOWN]
    )
    everything = f"{reverse('admin:payments_refund_changelist')}?second_person=waiting"
    return _section("Refunds", "refund", rows, more=len(refunds) > SHOWN, everything=everything)


def _exports(user: User) -> dict[str, Any]:
    waiting = CodeExportRequest.objects.filter(status=CodeExportStatus.REQUESTED)
    waiting = waiting.order_by("requested_at", "pk")
    exports = list(waiting.select_related("batch__voucher_type", "requested_by")[: SHOWN + 1])
    rows = (
        (
            link_to(export, f"Request {export.pk}"),
            value_of(export.batch),
            f"{export.batch.quantity:,} codes of {export.batch}",
            *_request(export.requested_by, export.requested_at, export.reason),
            _decision(export, export.requested_by, user),
        )
        for export in exports[:SHOWN]
    )
    everything = f"{reverse('admin:vouchers_codeexportrequest_changelist')}?status__exact=requested"
    return _section("Exports of codes", "export", rows, more=len(exports) > SHOWN, everything=everything)


def _request(requested_by: User | None, at: Any, reason: str) -> tuple[str, str, str]:
    moment = date_format(timezone.localtime(at), "DATETIME_FORMAT")
    return str(requested_by or ""), moment, reason


def _decision(row: Refund | CodeExportRequest, requested_by: User | None, user: User) -> str:
    if requested_by == user:
        return "You asked for it: somebody else decides"
    return link_to(row, "Look and decide")


def _section(
    title: str, noun: str, rows: Iterable[tuple[Any, ...]], *, more: bool, everything: str
) -> dict[str, Any]:
    headers = [noun, "amount", "for", "asked for by", "on", "reason", "decision"]
    return {
        "title": title,
        "table": {"headers": headers, "rows": list(rows)},
        "more": more,
        "all": everything,
    }
