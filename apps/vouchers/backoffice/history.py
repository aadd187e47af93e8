"""Uses and history of vouchers, for staff: to look at, and to reverse uses."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.html import format_html

from apps.core.backoffice.addresses import list_address
from apps.core.backoffice.confirmed_actions import ActionTarget, ConfirmedActionsAdmin, confirmed_action
from apps.core.backoffice.exports import ExportableAdmin
from apps.core.backoffice.filters import ChoiceFilter, DayRangeFilter, of_row
from apps.core.backoffice.read_only import ReadOnlyAdmin, link_to
from apps.core.logs import redact
from apps.users.current_user import current_user
from apps.users.models import User
from apps.vouchers import codes, selectors, services
from apps.vouchers.backoffice.code_search import FoundByCode
from apps.vouchers.exports import USAGES
from apps.vouchers.models import VoucherEvent, VoucherUsage
from apps.vouchers.states import VoucherEventKind
from apps.vouchers.type_names import service_name


class HasVoucherHistory:
    """A page whose history is that of a voucher: the list of its events, for whoever may view these."""

    def history_address(self, request: HttpRequest, row: Any) -> str | None:
        if not request.user.has_perm("vouchers.view_voucherevent"):
            return None
        return f"{list_address(VoucherEvent)}?voucher={self.voucher_id_of(row)}"

    def voucher_id_of(self, row: Any) -> int:
        return int(row.voucher_id)


class OfVoucher(HasVoucherHistory):
    """What screens of uses and history say of the voucher."""

    @admin.display(description="code")
    def masked_code(self, row: Any) -> str:
        return codes.mask_code(row.voucher.code)

    @admin.display(description="voucher")
    def voucher_link(self, row: Any) -> str:
        return link_to(row.voucher)


class OfUsage:
    """What screens say of a use."""

    @admin.display(description="service")
    def service(self, usage: VoucherUsage) -> str:
        return service_name(usage.service_type)

    @admin.display(description="details")
    def details_shown(self, usage: VoucherUsage) -> str:
        """What was written about it, without codes."""
        if not usage.details:
            return ""
        text = json.dumps(usage.details, indent=2, ensure_ascii=False)
        return format_html('<pre class="whitespace-pre-wrap">{}</pre>', redact(text))

    @admin.display(description="given back")
    def given_back(self, usage: VoucherUsage) -> str:
        if not hasattr(usage, "reversal"):
            return ""
        return f"{day(usage.reversal.reversed_at)} by {usage.reversal.actor}"


class OfEvent:
    """What screens say of an event."""

    @admin.display(description="what")
    def what(self, event: VoucherEvent) -> str:
        """What its details say, for people."""
        details = event.details
        match event.kind:
            case VoucherEventKind.EXTENDED:
                return f"{day(details.get('from'))} to {day(details.get('to'))}"
            case VoucherEventKind.REISSUED:
                return f"{details.get('from', '')} to {details.get('to', '')}"
            case VoucherEventKind.REASSIGNED:
                return f"From user {details.get('from', '')} to user {details.get('to', '')}"
            case VoucherEventKind.REVERSED:
                return f"Use {details.get('use_no', '')}"
            case VoucherEventKind.REMINDED:
                return f"{event.offset_days} days before it expires"
        if event.hold:
            return ""  # which hold it is has a column of its own
        return ", ".join(f"{name}: {value}" for name, value in details.items())


class GivenBackFilter(ChoiceFilter):
    title = "given back"
    parameter_name = "given_back"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[VoucherUsage]) -> QuerySet[VoucherUsage]:
        match self.value():
            case "yes":
                return queryset.filter(reversal__isnull=False)
            case "no":
                return selectors.without_reversed(queryset)
        return queryset


def numbered(usages: Iterable[VoucherUsage]) -> list[ActionTarget]:
    return [ActionTarget([each], f"Use {each.use_no} of {each.voucher}, by {each.user}") for each in usages]


def may_be_reversed(usage: VoucherUsage, user: User) -> bool:
    """Whether a use can be given back, as far as its page shows."""
    age = timezone.now() - usage.used_at
    return (
        not hasattr(usage, "reversal")
        and usage.voucher.is_active
        and age < timedelta(days=settings.REVERSAL_WINDOW_DAYS + 1)
    )


class VoucherUsageAdmin(
    OfVoucher, OfUsage, FoundByCode, ExportableAdmin, ConfirmedActionsAdmin, ReadOnlyAdmin
):
    export_table = USAGES
    list_display = ("used_at", "masked_code", "voucher_type", "use_no", "user", "service", "given_back")
    list_filter = (
        GivenBackFilter,
        "voucher__voucher_type",
        ("used_at", DayRangeFilter),
        of_row("person", "user"),
        of_row("voucher", "voucher"),
    )
    list_select_related = ("voucher__voucher_type", "user", "reversal__actor")
    code_field = "voucher__code"
    search_fields = ("user__email", "voucher__user__email")
    fields = (
        "voucher_link",
        "voucher_type",
        ("use_no", "used_at"),
        ("user", "service"),
        "details_shown",
        ("given_back", "why_given_back"),
    )
    readonly_fields = (
        "voucher_link",
        "voucher_type",
        "service",
        "details_shown",
        "given_back",
        "why_given_back",
    )
    actions = ("reverse",)
    actions_detail = actions

    @confirmed_action(
        permission="vouchers.reverse_usage",
        description="Give back",
        done="Given back",
        effect="The use stays in the books, and its voucher can be redeemed once more.",
        targets=numbered,
        applies=may_be_reversed,
        icon="undo",
    )
    def reverse(self, request: HttpRequest, rows: list[VoucherUsage], form_data: dict[str, Any]) -> bool:
        [usage] = rows
        services.reverse_usage(usage_id=usage.pk, actor=current_user(request), **form_data)
        return True

    @admin.display(description="voucher type", ordering="voucher__voucher_type__name")
    def voucher_type(self, usage: VoucherUsage) -> str:
        return usage.voucher.sold_as

    @admin.display(description="why it was given back")
    def why_given_back(self, usage: VoucherUsage) -> str:
        return usage.reversal.reason if hasattr(usage, "reversal") else ""


class VoucherEventAdmin(OfVoucher, OfEvent, FoundByCode, ReadOnlyAdmin):
    list_display = ("at", "masked_code", "kind", "hold", "what", "actor", "reason")
    list_filter = ("kind", ("at", DayRangeFilter), of_row("voucher", "voucher"))
    list_select_related = ("voucher", "actor")
    ordering = ("-id",)
    code_field = "voucher__code"
    search_fields = ("voucher__user__email", "actor__email")
    fields = ("voucher_link", ("kind", "hold"), "at", "what", "actor", "reason")
    readonly_fields = ("voucher_link", "what")


def day(moment: datetime | str | None) -> str:
    """A local day, also of a time in a history's details; as it is if it is none."""
    if isinstance(moment, str):
        moment = parse_datetime(moment) or moment
    return date_format(timezone.localtime(moment)) if isinstance(moment, datetime) else moment or ""
