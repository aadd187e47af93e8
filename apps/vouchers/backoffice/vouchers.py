"""Vouchers, for staff: looked at, and acted on by services.

Codes are worth money: no page shows one in full. Staff find a voucher by the code that a customer gives them.
"""

import time as clock
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.core.backoffice.attention import AttentionFilter
from apps.core.backoffice.confirmed_actions import (
    ActionTarget,
    ConfirmedActionsAdmin,
    PartlyDone,
    ReasonForm,
    confirmed_action,
)
from apps.core.backoffice.exports import ExportableAdmin
from apps.core.backoffice.extensible import ExtensibleAdmin
from apps.core.backoffice.filters import ChoiceFilter, DayRangeFilter, of_row
from apps.core.backoffice.read_only import ReadOnlyAdmin, ReadOnlyInline, link_to
from apps.core.dates import end_of_day, format_day
from apps.core.money import format_amount
from apps.users.current_user import current_user
from apps.users.models import User
from apps.vouchers import codes, services
from apps.vouchers.backoffice.batch_changes import BatchFilter
from apps.vouchers.backoffice.code_search import FoundByCode
from apps.vouchers.backoffice.history import HasVoucherHistory, OfEvent, OfUsage
from apps.vouchers.exports import VOUCHERS
from apps.vouchers.models import Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.states import (
    HOLDS_FOR_STAFF,
    VOID,
    WHY_INACTIVE_FOR_STAFF,
    Hold,
    InactiveReason,
    VoucherStatus,
    status_condition,
)
from apps.vouchers.type_names import service_name

LONGEST_EXTENSION: Final = timedelta(days=36_500)  # as long as a type may be valid
STATUS_COLOURS = {
    "Active": "success",
    "Used": "info",
    "Expired": "warning",
    "Inactive": "danger",
}


class StatusFilter(ChoiceFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, str(status.label)) for status in VoucherStatus]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Voucher]) -> QuerySet[Voucher]:
        status = self.value()
        if status not in VoucherStatus.values:
            return queryset
        return queryset.filter(status_condition(VoucherStatus(status), timezone.now()))


class WhyInactiveFilter(ChoiceFilter):
    """By the strongest hold; only of vouchers that are inactive, which have an index of their own."""

    title = "why inactive"
    parameter_name = "inactive_reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, WHY_INACTIVE_FOR_STAFF[reason]) for reason in InactiveReason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Voucher]) -> QuerySet[Voucher]:
        reason = self.value()
        if reason not in InactiveReason.values:
            return queryset
        return queryset.filter(is_active=False, inactive_reason=reason)


class UsageInline(OfUsage, ReadOnlyInline):
    model = VoucherUsage
    verbose_name_plural = "redemptions"
    fields = ("number", "used_at", "user", "service", "details_shown", "given_back")
    readonly_fields = ("number", "service", "details_shown", "given_back")
    ordering = ("-use_no",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoucherUsage]:
        usages: QuerySet[VoucherUsage] = super().get_queryset(request)
        return usages.select_related("user", "reversal__actor")

    @admin.display(description="use")
    def number(self, usage: VoucherUsage) -> str:
        return link_to(usage, usage.use_no)


class EventInline(OfEvent, ReadOnlyInline):
    model = VoucherEvent
    verbose_name_plural = "history"
    fields = ("at", "kind", "hold", "what", "actor", "reason")
    readonly_fields = ("what",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoucherEvent]:
        events: QuerySet[VoucherEvent] = super().get_queryset(request)
        return events.select_related("actor")


class ExtendForm(ReasonForm):
    until = forms.DateField(
        label="Valid until the end of",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text="A day after today, and after the day until which it is valid already.",
    )
    field_order = ("until", "reason")

    def clean_until(self) -> date:
        until: date = self.cleaned_data["until"]
        today = timezone.localdate()
        if not today < until <= today + LONGEST_EXTENSION:
            raise forms.ValidationError("Choose a day after today, within a hundred years.", code="range")
        return until

    def check_row(self, voucher: Voucher) -> None:
        """Say beside the field what the service would refuse of this voucher."""
        if end_of_day(self.cleaned_data["until"]) <= voucher.expiry_date:
            self.add_error("until", f"It is valid until {format_day(voucher.expiry_date)} already.")


class ReissueForm(ReasonForm):
    opened_at = forms.FloatField(min_value=0, max_value=2**33, initial=clock.time, widget=forms.HiddenInput)

    def clean_opened_at(self) -> datetime:
        opened_at = datetime.fromtimestamp(self.cleaned_data["opened_at"], tz=UTC)
        if opened_at > timezone.now():
            raise forms.ValidationError("Open the page anew.", code="future")
        return opened_at


def named(vouchers: Iterable[Voucher]) -> list[ActionTarget]:
    """Each voucher by its last four symbols, with what tells it from others that end the same."""
    return [ActionTarget([each], f"{each}, {each.voucher_type}, {each.user}") for each in vouchers]


def owner_of(voucher: Voucher) -> int:
    """Whose it is: what staff do to several vouchers of a person is one act, with one mail."""
    return voucher.user_id


def is_not_void(voucher: Voucher, user: User) -> bool:
    """Whether a voucher may work again some day."""
    return not voucher.held_for & VOID


class VoucherAdmin(
    HasVoucherHistory, FoundByCode, ExportableAdmin, ConfirmedActionsAdmin, ExtensibleAdmin, ReadOnlyAdmin
):
    export_table = VOUCHERS
    list_display = (
        "masked_code",
        "voucher_type",
        "user",
        "status",
        "why_inactive",
        "uses",
        "value",
        "purchase_date",
        "expiry_date",
    )
    list_filter = (
        AttentionFilter,
        StatusFilter,
        WhyInactiveFilter,
        "voucher_type",
        ("purchase_date", DayRangeFilter),
        ("expiry_date", DayRangeFilter),
        of_row("person", "user"),
        BatchFilter,
    )
    list_select_related = ("voucher_type", "user")
    search_fields = ("user__email",)
    fieldsets: tuple[Any, ...] = (
        (None, {"fields": ("masked_code", ("voucher_type", "type_name"), ("service", "user"), "batch")}),
        ("State", {"fields": (("status", "why_inactive"), "uses", ("purchase_date", "expiry_date"))}),
        ("Paid", {"fields": ("value",)}),
    )
    readonly_fields: tuple[str, ...] = (
        "masked_code",
        "type_name",
        "status",
        "why_inactive",
        "uses",
        "service",
        "value",
        "batch",
    )
    inlines: ClassVar = [UsageInline, EventInline]
    actions: tuple[str, ...] = ("extend", "suspend", "release", "reissue", "void")
    actions_detail = actions

    def get_ordering(self, request: HttpRequest) -> Any:
        """The vouchers of a batch by number: it is the order of their issue too, and one that an index has."""
        return ("-id",) if request.GET.get(BatchFilter.parameter_name) else super().get_ordering(request)

    @confirmed_action(
        permission="vouchers.extend_voucher",
        description="Extend",
        done="Extended",
        effect="The owner gets a mail.",
        form=ExtendForm,
        targets=named,
        together=owner_of,
        applies=is_not_void,
        icon="event",
    )
    def extend(self, request: HttpRequest, rows: list[Voucher], form_data: dict[str, Any]) -> PartlyDone:
        voucher_ids = [voucher.pk for voucher in rows]
        return PartlyDone(*services.extend_vouchers(voucher_ids, actor=current_user(request), **form_data))

    @confirmed_action(
        permission="vouchers.suspend_voucher",
        description="Suspend",
        done="Suspended",
        effect="What is suspended can't be redeemed until staff release it. The owner gets a mail.",
        targets=named,
        together=owner_of,
        applies=lambda voucher, user: is_not_void(voucher, user) and Hold.SUSPENDED not in voucher.held_for,
        icon="pause_circle",
    )
    def suspend(self, request: HttpRequest, rows: list[Voucher], form_data: dict[str, Any]) -> PartlyDone:
        voucher_ids = [voucher.pk for voucher in rows]
        return PartlyDone(services.suspend_vouchers(voucher_ids, actor=current_user(request), **form_data))

    @confirmed_action(
        permission="vouchers.suspend_voucher",
        description="Release",
        done="Released",
        effect="Ends what staff suspended. Other holds stay: those of refunds, disputes and withdrawn services. The"
        " owner gets a mail.",
        targets=named,
        together=owner_of,
        applies=lambda voucher, user: Hold.SUSPENDED in voucher.held_for,
        icon="play_circle",
    )
    def release(self, request: HttpRequest, rows: list[Voucher], form_data: dict[str, Any]) -> PartlyDone:
        voucher_ids = [voucher.pk for voucher in rows]
        return PartlyDone(services.release_vouchers(voucher_ids, actor=current_user(request), **form_data))

    @confirmed_action(
        permission="vouchers.reissue_voucher",
        description="Reissue",
        done="Reissued",
        effect="The old code stops working at once, on paper too. The new one goes to the owner by mail, and stands"
        " in their account; it is not shown here.",
        form=ReissueForm,
        targets=named,
        applies=lambda voucher, user: is_not_void(voucher, user) and not voucher.user.is_closed,
        icon="autorenew",
    )
    def reissue(self, request: HttpRequest, rows: list[Voucher], form_data: dict[str, Any]) -> bool:
        [voucher] = rows
        services.reissue_voucher(
            voucher_id=voucher.pk,
            actor=current_user(request),
            reason=form_data["reason"],
            decided_at=form_data["opened_at"],
        )
        return True

    @confirmed_action(
        permission="vouchers.void_voucher",
        description="Void",
        done="Voided",
        effect="For good: nobody can make what is void work again. It gives no money back. The owner"
        " gets a mail.",
        targets=named,
        together=owner_of,
        applies=lambda voucher, user: Hold.VOIDED not in voucher.held_for,
        variant=ActionVariant.DANGER,
        icon="block",
    )
    def void(self, request: HttpRequest, rows: list[Voucher], form_data: dict[str, Any]) -> PartlyDone:
        voucher_ids = [voucher.pk for voucher in rows]
        return PartlyDone(services.void_vouchers(voucher_ids, actor=current_user(request), **form_data))

    def voucher_id_of(self, row: Any) -> int:
        return int(row.pk)

    @admin.display(description="code")
    def masked_code(self, voucher: Voucher) -> str:
        return codes.mask_code(voucher.code)

    @display(description="status", label=STATUS_COLOURS)
    def status(self, voucher: Voucher) -> str:
        return str(voucher.status_at(timezone.now()).label)

    @admin.display(description="why inactive")
    def why_inactive(self, voucher: Voucher) -> str:
        return ", ".join(words for hold, words in HOLDS_FOR_STAFF.items() if hold in voucher.held_for)

    @admin.display(description="value")
    def value(self, voucher: Voucher) -> str:
        return format_amount(voucher.face_value, voucher.currency)

    @admin.display(description="service")
    def service(self, voucher: Voucher) -> str:
        return service_name(voucher.service_type)

    @admin.display(description="uses made")
    def uses(self, voucher: Voucher) -> str:
        return f"{voucher.uses_made} of {voucher.total_uses}"
