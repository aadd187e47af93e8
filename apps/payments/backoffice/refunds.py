"""Refunds for staff: asked for where the vouchers and payments are, decided on and sent again among the refunds."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.backoffice.confirmed_actions import (
    ActionTarget,
    ConfirmedActionsAdmin,
    ConfirmOnlyForm,
    ReasonForm,
    confirmed_action,
)
from apps.core.backoffice.read_only import ReadOnlyAdmin, ReadOnlyInline, link_to
from apps.core.errors import ConflictError
from apps.payments import services, stripe_amounts
from apps.payments.errors import NothingToRefund, PaymentProviderUnavailable
from apps.payments.models import Refund, RefundedVoucher, RefundStatus, SoldVoucher, Transaction
from apps.users.current_user import current_user
from apps.vouchers import admin as vouchers_admin
from apps.vouchers.backoffice.code_search import FoundByCode
from apps.vouchers.models import Voucher

REFUNDS_AT_ONCE: Final = 10  # each waits for Stripe
STAYS_APPROVED: Final = (
    "The payment provider does not answer. It stays approved, and is sent again by the next reconciliation, or by"
    " “Send again”."
)
REFUND_COLOURS = {
    "Requested": "warning",
    "Approved, being sent": "info",
    "Pending at Stripe": "info",
    "Succeeded": "success",
    "Failed": "danger",
    "Rejected": "danger",
}


def money(amount: Decimal, paid: Transaction) -> str:
    """An amount of a transaction, as people read it."""
    return stripe_amounts.format_amount(amount, paid.currency)


class VoucherLines(ReadOnlyInline):
    """Lines that are about a voucher each."""

    readonly_fields = ("voucher_link", "voucher_status", "uses")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        lines: QuerySet[Any] = super().get_queryset(request)
        return lines.select_related("voucher")

    @admin.display(description="voucher")
    def voucher_link(self, line: Any) -> str:
        return link_to(line.voucher)

    @admin.display(description="status")
    def voucher_status(self, line: Any) -> str:
        return str(line.voucher.status_at(timezone.now()).label)

    @admin.display(description="uses made")
    def uses(self, line: Any) -> str:
        return f"{line.voucher.uses_made} of {line.voucher.total_uses}"


class OfTransaction:
    """What screens of refunds and disputes say of the transaction."""

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, row: Any) -> str:
        return money(row.amount, row.transaction)

    @admin.display(description="transaction", ordering="transaction")
    def transaction_link(self, row: Any) -> str:
        return link_to(row.transaction, row.transaction_id)

    @admin.display(description="buyer", ordering="transaction__user__email")
    def buyer(self, row: Any) -> str:
        return str(row.transaction.user)


class RefundForm(ReasonForm):
    reason = forms.CharField(
        max_length=200,  # as in a buyer's request
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It stays with the refund, where the buyer reads it too.",
    )


def ask_for_refund(
    screen: ConfirmedActionsAdmin,
    request: HttpRequest,
    rows: list[Any],
    *,
    transaction_id: int,
    voucher_ids: list[int] | None,
    reason: str,
) -> str:
    """Ask for a refund, and approve it too if who asks may decide about refunds. Raises as the services do."""
    asked = services.request_refund_by_staff(
        transaction_id=transaction_id, actor=current_user(request), reason=reason, voucher_ids=voucher_ids
    )
    if request.user.has_perm("payments.decide_refund"):
        return approve(screen, request, asked, rows, note="")
    return "Refund asked for"


def approve(
    screen: ConfirmedActionsAdmin, request: HttpRequest, asked: Refund, rows: list[Any], *, note: str
) -> str:
    """Approve a refund; what came of it. An approval that nothing came of yet is logged for `rows` here."""
    try:
        made = services.approve_refund(refund_id=asked.pk, actor=current_user(request), note=note)
    except PaymentProviderUnavailable as error:
        for row in rows:
            screen.log_change(
                request, row, f"Approved refund {asked.pk}; the payment provider did not answer"
            )
        raise PaymentProviderUnavailable(STAYS_APPROVED) from error
    return outcome(made)


def outcome(made: Refund) -> str:
    """What came of a refund that was sent to Stripe. Raises ConflictError if nothing did."""
    match made.status:
        case RefundStatus.SUCCEEDED:
            return "Refunded"
        case RefundStatus.FAILED | RefundStatus.CANCELED:
            why = f" ({made.failure_reason})" if made.failure_reason else ""
            held = made.lines.filter(voucher__is_active=False).exists()  # in dispute, say
            what = "are still held for another reason" if held else "were let go"
            raise ConflictError(f"Stripe could not make refund {made.pk}{why}. Its vouchers {what}.")
    return "Approved, under way at Stripe"


def by_purchase(vouchers: Iterable[Voucher]) -> list[ActionTarget]:
    """The vouchers of each transaction together: they are refunded in one."""
    vouchers = list(vouchers)
    sold = SoldVoucher.objects.filter(voucher__in=vouchers).select_related("transaction")
    paid_by = {line.voucher_id: line.transaction for line in sold}
    together: dict[Transaction, list[Voucher]] = defaultdict(list)
    targets = []
    for voucher in vouchers:
        if voucher.pk in paid_by:
            together[paid_by[voucher.pk]].append(voucher)
        else:
            targets.append(ActionTarget([voucher], f"{voucher}, which was not bought"))
    for paid, chosen in together.items():
        names = ", ".join(map(str, chosen))
        back = money(services.refundable_amount(paid, len(chosen)), paid)
        targets.append(ActionTarget(chosen, f"{names} of transaction {paid.pk}: {back}"))
    return targets


def unused(transactions: Iterable[Transaction]) -> list[ActionTarget]:
    """Each transaction with what there is to refund of it."""
    targets = []
    for paid in transactions:
        count = sum(map(services.refundable_by_staff, paid.vouchers))
        back = money(services.refundable_amount(paid, count), paid)
        shown = f"Transaction {paid.pk} of {paid.user}: {count} of {paid.quantity} vouchers, {back}"
        targets.append(ActionTarget([paid], shown))
    return targets


admin.site.unregister(Voucher)


@admin.register(Voucher)
class VoucherAdmin(vouchers_admin.VoucherAdmin):
    """The screens for vouchers, with what only this app knows: what paid for them, and how that goes back."""

    fieldsets: tuple[Any, ...] = (
        *vouchers_admin.VoucherAdmin.fieldsets[:-1],
        ("Paid", {"fields": (("face_value", "currency"), ("transaction_link", "refund_links"))}),
    )
    readonly_fields: tuple[str, ...] = (
        *vouchers_admin.VoucherAdmin.readonly_fields,
        "transaction_link",
        "refund_links",
    )
    actions = (*vouchers_admin.VoucherAdmin.actions, "refund")
    actions_detail = actions

    @confirmed_action(
        permission="payments.make_refund",
        description="Refund",
        done="Refund asked for",
        effect="The vouchers are held at once. If you may decide about refunds too, the money goes back right away and"
        " the vouchers are void; else somebody who may has to approve it.",
        form=RefundForm,
        targets=by_purchase,
        max_rows=REFUNDS_AT_ONCE,
        variant=ActionVariant.DANGER,
        icon="currency_exchange",
    )
    def refund(self, request: HttpRequest, rows: list[Voucher], form_data: dict[str, Any]) -> str:
        sold = SoldVoucher.objects.filter(voucher=rows[0]).first()
        if sold is None:
            raise NothingToRefund("It was not bought: there is no payment to give back.")
        return ask_for_refund(
            self,
            request,
            rows,
            transaction_id=sold.transaction_id,
            voucher_ids=[voucher.pk for voucher in rows],
            reason=form_data["reason"],
        )

    @admin.display(description="transaction")
    def transaction_link(self, voucher: Voucher) -> str:
        sold = SoldVoucher.objects.select_related("transaction").filter(voucher=voucher).first()
        return link_to(sold.transaction) if sold else ""

    @admin.display(description="refunds")
    def refund_links(self, voucher: Voucher) -> str:
        lines = RefundedVoucher.objects.filter(voucher=voucher).select_related("refund").order_by("pk")
        return format_html_join(", ", "{}", ((link_to(line.refund),) for line in lines))


class RefundedVoucherInline(VoucherLines):
    model = RefundedVoucher
    verbose_name_plural = "vouchers"
    fields = ("voucher_link", "voucher_status", "uses", "live")


class DecisionForm(ReasonForm):
    reason = forms.CharField(
        label="Note",
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="The buyer reads it in the mail about the decision.",
    )


def amounts(refunds: Iterable[Refund]) -> list[ActionTarget]:
    return [
        ActionTarget(
            [each], f"Refund {each.pk} of {each.transaction.user}: {money(each.amount, each.transaction)}"
        )
        for each in refunds
    ]


@admin.register(Refund)
class RefundAdmin(OfTransaction, FoundByCode, ConfirmedActionsAdmin, ReadOnlyAdmin):
    list_display = (
        "id",
        "status_shown",
        "amount_shown",
        "buyer",
        "origin",
        "requested_by",
        "transaction_link",
        "created_at",
    )
    list_filter = ("status", "origin", "created_at")
    list_select_related = ("transaction__user", "requested_by")
    code_field = "lines__voucher__code"
    search_fields = ("=id", "=transaction__id", "=stripe_refund_id", "transaction__user__email")
    search_help_text = (
        "A number, a transaction's number, a refund at Stripe, an e-mail address, or a voucher's code or its last"
        " four symbols"
    )
    fieldsets = (
        (
            None,
            {"fields": (("status_shown", "amount_shown"), ("transaction_link", "buyer"))},
        ),
        ("Request", {"fields": (("origin", "created_at"), "requested_by", "reason", "notes")}),
        ("Decision", {"fields": (("decided_by", "decided_at"), "decision_note")}),
        ("Stripe", {"fields": (("stripe_refund_id", "failure_reason"), ("reference", "finished_at"))}),
    )
    readonly_fields = ("status_shown", "amount_shown", "transaction_link", "buyer", "reference")
    inlines: ClassVar = [RefundedVoucherInline]
    actions = ("approve", "reject", "send_again")
    actions_detail = actions

    @confirmed_action(
        permission="payments.decide_refund",
        description="Approve",
        done="Approved",
        effect="Stripe is asked to send the money back, and the vouchers are void for good.",
        form=DecisionForm,
        targets=amounts,
        max_rows=REFUNDS_AT_ONCE,
        icon="check_circle",
    )
    def approve(self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]) -> str:
        [asked] = rows
        return approve(self, request, asked, rows, note=form_data["reason"])

    @confirmed_action(
        permission="payments.decide_refund",
        description="Reject",
        done="Rejected",
        effect="No money goes back, and the vouchers are let go.",
        form=DecisionForm,
        targets=amounts,
        variant=ActionVariant.DANGER,
        icon="cancel",
    )
    def reject(self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]) -> bool:
        [asked] = rows
        services.reject_refund(refund_id=asked.pk, actor=current_user(request), note=form_data["reason"])
        return True

    @confirmed_action(
        permission="payments.decide_refund",
        description="Send again",
        done="Sent again",
        effect="For what was approved and not heard of since: Stripe is asked whether it made it, and to make it if"
        " not. It is never made twice.",
        form=ConfirmOnlyForm,
        targets=amounts,
        max_rows=REFUNDS_AT_ONCE,
        icon="send",
    )
    def send_again(self, request: HttpRequest, rows: list[Refund], form_data: dict[str, Any]) -> str | bool:
        [approved] = rows
        try:
            made = services.execute_refund(approved.pk)
        except PaymentProviderUnavailable as error:
            raise PaymentProviderUnavailable(STAYS_APPROVED) from error
        return False if made.status == approved.status else outcome(made)

    @display(description="status", ordering="status", label=REFUND_COLOURS)
    def status_shown(self, refund: Refund) -> str:
        return refund.get_status_display()
