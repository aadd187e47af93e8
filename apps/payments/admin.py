"""Screens for staff: what was paid, what went back, and what Stripe told us; staff decide about refunds."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.errors import ConflictError
from apps.core.reasons import AskingAdmin, Case, NoQuestions, ReasonForm, asks_first
from apps.core.screens import LookedAtAdmin, LookedAtInline, link_to
from apps.users.callers import caller
from apps.vouchers import admin as vouchers_admin
from apps.vouchers.models import Voucher

from . import currencies, services
from .errors import NothingToRefund, PaymentProviderUnavailable
from .models import (
    Dispute,
    Refund,
    RefundedVoucher,
    RefundStatus,
    SoldVoucher,
    StripeEvent,
    Transaction,
)

MAILS_AT_ONCE: Final = 100
REFUNDS_AT_ONCE: Final = 10  # each waits for Stripe
STAYS_APPROVED: Final = (
    "The payment provider does not answer. It stays approved, and is sent again by the next reconciliation, or by"
    " “Send again”."
)
STATUS_COLOURS = {
    "Pending": "warning",
    "Completed": "success",
    "Failed": "danger",
    "Refunded": "info",
}
REFUND_COLOURS = {
    "Requested": "warning",
    "Approved, being sent": "info",
    "Pending at Stripe": "info",
    "Succeeded": "success",
    "Failed": "danger",
    "Rejected": "danger",
}
OUTCOME_COLOURS = {"Open": "warning", "Won": "success", "Lost": "danger"}


def money(amount: Decimal, paid: Transaction) -> str:
    """An amount of a transaction, as people read it."""
    return currencies.shown(amount, paid.currency)


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


# --- Refunds that staff make --------------------------------------------------------------------------------------


class RefundForm(ReasonForm):
    reason = forms.CharField(
        max_length=200,  # as in a buyer's request
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It stays with the refund, where the buyer reads it too.",
    )


def ask_for_refund(
    screen: AskingAdmin,
    request: HttpRequest,
    rows: list[Any],
    *,
    transaction_id: int,
    voucher_ids: list[int] | None,
    reason: str,
) -> str:
    """Ask for a refund, and approve it too if who asks may decide about refunds. Raises as the services do."""
    asked = services.request_refund_by_staff(
        transaction_id=transaction_id, actor=caller(request), reason=reason, voucher_ids=voucher_ids
    )
    if request.user.has_perm("payments.decide_refund"):
        return approve(screen, request, asked, rows, note="")
    return "Refund asked for"


def approve(screen: AskingAdmin, request: HttpRequest, asked: Refund, rows: list[Any], *, note: str) -> str:
    """Approve a refund; what came of it. An approval that nothing came of yet is logged for `rows` here."""
    try:
        made = services.approve_refund(refund_id=asked.pk, actor=caller(request), note=note)
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
            raise ConflictError(f"Stripe could not make refund {made.pk}{why}. Its vouchers were let go.")
    return "Approved, under way at Stripe"


def by_purchase(vouchers: Iterable[Voucher]) -> list[Case]:
    """The vouchers of each transaction together: they are refunded in one."""
    vouchers = list(vouchers)
    sold = SoldVoucher.objects.filter(voucher__in=vouchers).select_related("transaction")
    paid_by = {line.voucher_id: line.transaction for line in sold}
    together: dict[Transaction, list[Voucher]] = defaultdict(list)
    cases = []
    for voucher in vouchers:
        if voucher.pk in paid_by:
            together[paid_by[voucher.pk]].append(voucher)
        else:
            cases.append(Case([voucher], f"{voucher}, which was not bought"))
    for paid, chosen in together.items():
        names = ", ".join(map(str, chosen))
        back = money(paid.unit_price * len(chosen), paid)
        cases.append(Case(chosen, f"{names} of transaction {paid.pk}: {back}"))
    return cases


def unused(transactions: Iterable[Transaction]) -> list[Case]:
    """Each transaction with what there is to refund of it."""
    cases = []
    for paid in transactions:
        count = sum(map(services.refundable_by_staff, paid.vouchers))
        back = money(paid.unit_price * count, paid)
        shown = f"Transaction {paid.pk} of {paid.user}: {count} of {paid.quantity} vouchers, {back}"
        cases.append(Case([paid], shown))
    return cases


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

    @asks_first(
        permission="payments.make_refund",
        description="Refund",
        done="Refund asked for",
        about="The vouchers are held at once. If you may decide about refunds too, the money goes back right away and"
        " the vouchers are void; else somebody who may has to approve it.",
        form=RefundForm,
        cases=by_purchase,
        at_once=REFUNDS_AT_ONCE,
        variant=ActionVariant.DANGER,
        icon="currency_exchange",
    )
    def refund(self, request: HttpRequest, rows: list[Voucher], given: dict[str, Any]) -> str:
        sold = SoldVoucher.objects.filter(voucher=rows[0]).first()
        if sold is None:
            raise NothingToRefund("It was not bought: there is no payment to give back.")
        return ask_for_refund(
            self,
            request,
            rows,
            transaction_id=sold.transaction_id,
            voucher_ids=[voucher.pk for voucher in rows],
            reason=given["reason"],
        )

    @admin.display(description="transaction")
    def transaction_link(self, voucher: Voucher) -> str:
        sold = SoldVoucher.objects.select_related("transaction").filter(voucher=voucher).first()
        return link_to(sold.transaction) if sold else ""

    @admin.display(description="refunds")
    def refund_links(self, voucher: Voucher) -> str:
        lines = RefundedVoucher.objects.filter(voucher=voucher).select_related("refund").order_by("pk")
        return format_html_join(", ", "{}", ((link_to(line.refund),) for line in lines))


# --- What was paid, and what went back ----------------------------------------------------------------------------


class SoldVoucherInline(LookedAtInline):
    model = SoldVoucher
    verbose_name_plural = "vouchers issued"
    fields = ("line_no", "voucher_link", "voucher_status", "uses")
    readonly_fields = ("voucher_link", "voucher_status", "uses")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SoldVoucher]:
        sold: QuerySet[SoldVoucher] = super().get_queryset(request)
        return sold.select_related("voucher")

    @admin.display(description="voucher")
    def voucher_link(self, sold: SoldVoucher) -> str:
        return link_to(sold.voucher)

    @admin.display(description="status")
    def voucher_status(self, sold: SoldVoucher) -> str:
        return str(sold.voucher.status_at(timezone.now()).label)

    @admin.display(description="uses made")
    def uses(self, sold: SoldVoucher) -> str:
        return f"{sold.voucher.uses_made} of {sold.voucher.total_uses}"


class RefundInline(OfTransaction, LookedAtInline):
    model = Refund
    fk_name = "transaction"
    fields = (
        "number",
        "status",
        "amount_shown",
        "origin",
        "reason",
        "requested_by",
        "created_at",
        "decided_by",
        "finished_at",
    )
    readonly_fields = ("number", "amount_shown")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        refunds: QuerySet[Refund] = super().get_queryset(request)
        return refunds.select_related("transaction", "requested_by", "decided_by")

    @admin.display(description="refund")
    def number(self, refund: Refund) -> str:
        return link_to(refund, refund.pk)


class DisputeInline(OfTransaction, LookedAtInline):
    model = Dispute
    fields = ("number", "outcome", "amount_shown", "reason", "stripe_status", "opened_at", "closed_at")
    readonly_fields = ("number", "amount_shown")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispute]:
        disputes: QuerySet[Dispute] = super().get_queryset(request)
        return disputes.select_related("transaction")

    @admin.display(description="dispute")
    def number(self, dispute: Dispute) -> str:
        return link_to(dispute, dispute.pk)


@admin.register(Transaction)
class TransactionAdmin(vouchers_admin.FoundByCode, AskingAdmin, LookedAtAdmin):
    list_display = (
        "id",
        "created_at",
        "user",
        "voucher_type",
        "quantity",
        "amount_shown",
        "refunded_shown",
        "status_shown",
    )
    list_filter = ("status", "voucher_type", "currency")
    list_select_related = ("user", "voucher_type")
    code_field = "sold_vouchers__voucher__code"
    search_fields = ("user__email", "=stripe_payment_intent_id", "=id")
    search_help_text = (
        "An e-mail address, a number, a payment intent, or a voucher's code or its last four symbols"
    )
    fieldsets = (
        (None, {"fields": ("user", "voucher_type", ("quantity", "unit_price"))}),
        (
            "Payment",
            {
                "fields": (
                    ("amount_shown", "refunded_shown", "refunding_shown"),
                    "status_shown",
                    "stripe_payment_intent_id",
                    "reference",
                )
            },
        ),
        ("Terms of the sale", {"fields": ("service_type", ("validity_days", "max_uses"))}),
        ("Times", {"fields": (("created_at", "completed_at", "updated_at"),)}),
    )
    readonly_fields = (
        "amount_shown",
        "refunded_shown",
        "refunding_shown",
        "status_shown",
        "reference",
        "updated_at",
    )
    inlines: ClassVar = [SoldVoucherInline, RefundInline, DisputeInline]
    actions = ("mail_receipt", "refund_unused")
    actions_detail = ("refund_unused",)

    @asks_first(
        permission="payments.make_refund",
        description="Refund unused vouchers",
        done="Refund asked for",
        about="The vouchers are held at once. If you may decide about refunds too, the money goes back right away and"
        " the vouchers are void; else somebody who may has to approve it. Some vouchers of a transaction alone are"
        " refunded among the vouchers.",
        form=RefundForm,
        cases=unused,
        at_once=REFUNDS_AT_ONCE,
        variant=ActionVariant.DANGER,
        icon="currency_exchange",
    )
    def refund_unused(self, request: HttpRequest, rows: list[Transaction], given: dict[str, Any]) -> str:
        [paid] = rows
        return ask_for_refund(
            self, request, rows, transaction_id=paid.pk, voucher_ids=None, reason=given["reason"]
        )

    @admin.action(description="Mail the receipt again", permissions=["mail_receipt"])
    def mail_receipt(self, request: HttpRequest, queryset: QuerySet[Transaction]) -> None:
        chosen = list(queryset.select_related("user", "voucher_type")[: MAILS_AT_ONCE + 1])
        if len(chosen) > MAILS_AT_ONCE:
            messages.error(request, f"At most {MAILS_AT_ONCE} at once. None was mailed.")
            return
        mailed = [each for each in chosen if each.is_paid and services.queue_receipt(each)]
        for transaction in mailed:
            self.log_change(request, transaction, "Mailed the receipt again.")
        if len(mailed) < len(chosen):
            messages.warning(request, f"Not paid, or the account is closed: {len(chosen) - len(mailed)}.")
        messages.success(request, f"On their way: {len(mailed)}.")

    def has_mail_receipt_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.change_transaction")

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, transaction: Transaction) -> str:
        return money(transaction.amount, transaction)

    @admin.display(description="refunded", ordering="amount_refunded")
    def refunded_shown(self, transaction: Transaction) -> str:
        return money(transaction.amount_refunded, transaction) if transaction.amount_refunded else ""

    @admin.display(description="being refunded")
    def refunding_shown(self, transaction: Transaction) -> str:
        return money(transaction.amount_refunding, transaction) if transaction.amount_refunding else ""

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_shown(self, transaction: Transaction) -> str:
        return transaction.get_status_display()


class RefundedVoucherInline(LookedAtInline):
    model = RefundedVoucher
    verbose_name_plural = "vouchers"
    fields = ("voucher_link", "voucher_status", "uses", "live")
    readonly_fields = ("voucher_link", "voucher_status", "uses")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefundedVoucher]:
        lines: QuerySet[RefundedVoucher] = super().get_queryset(request)
        return lines.select_related("voucher")

    @admin.display(description="voucher")
    def voucher_link(self, line: RefundedVoucher) -> str:
        return link_to(line.voucher)

    @admin.display(description="status")
    def voucher_status(self, line: RefundedVoucher) -> str:
        return str(line.voucher.status_at(timezone.now()).label)

    @admin.display(description="uses made")
    def uses(self, line: RefundedVoucher) -> str:
        return f"{line.voucher.uses_made} of {line.voucher.total_uses}"


class DecisionForm(ReasonForm):
    reason = forms.CharField(
        label="Note",
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="The buyer reads it in the mail about the decision.",
    )


def amounts(refunds: Iterable[Refund]) -> list[Case]:
    return [
        Case([each], f"Refund {each.pk} of {each.transaction.user}: {money(each.amount, each.transaction)}")
        for each in refunds
    ]


@admin.register(Refund)
class RefundAdmin(OfTransaction, vouchers_admin.FoundByCode, AskingAdmin, LookedAtAdmin):
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

    @asks_first(
        permission="payments.decide_refund",
        description="Approve",
        done="Approved",
        about="Stripe is asked to send the money back, and the vouchers are void for good.",
        form=DecisionForm,
        cases=amounts,
        at_once=REFUNDS_AT_ONCE,
        icon="check_circle",
    )
    def approve(self, request: HttpRequest, rows: list[Refund], given: dict[str, Any]) -> str:
        [asked] = rows
        return approve(self, request, asked, rows, note=given["reason"])

    @asks_first(
        permission="payments.decide_refund",
        description="Reject",
        done="Rejected",
        about="No money goes back, and the vouchers are let go.",
        form=DecisionForm,
        cases=amounts,
        variant=ActionVariant.DANGER,
        icon="cancel",
    )
    def reject(self, request: HttpRequest, rows: list[Refund], given: dict[str, Any]) -> bool:
        [asked] = rows
        services.reject_refund(refund_id=asked.pk, actor=caller(request), note=given["reason"])
        return True

    @asks_first(
        permission="payments.decide_refund",
        description="Send again",
        done="Sent again",
        about="For what was approved and not heard of since: Stripe is asked whether it made it, and to make it if"
        " not. It is never made twice.",
        form=NoQuestions,
        cases=amounts,
        at_once=REFUNDS_AT_ONCE,
        icon="send",
    )
    def send_again(self, request: HttpRequest, rows: list[Refund], given: dict[str, Any]) -> str | bool:
        [approved] = rows
        try:
            made = services.execute_refund(approved.pk)
        except PaymentProviderUnavailable as error:
            raise PaymentProviderUnavailable(STAYS_APPROVED) from error
        return False if made.status == approved.status else outcome(made)

    @display(description="status", ordering="status", label=REFUND_COLOURS)
    def status_shown(self, refund: Refund) -> str:
        return refund.get_status_display()


@admin.register(Dispute)
class DisputeAdmin(OfTransaction, vouchers_admin.FoundByCode, LookedAtAdmin):
    list_display = (
        "id",
        "outcome_shown",
        "stripe_status",
        "amount_shown",
        "buyer",
        "reason",
        "transaction_link",
        "opened_at",
        "closed_at",
    )
    list_filter = ("outcome", "opened_at")
    list_select_related = ("transaction__user",)
    code_field = "transaction__sold_vouchers__voucher__code"
    search_fields = ("=id", "=transaction__id", "=stripe_dispute_id", "transaction__user__email")
    search_help_text = (
        "A number, a transaction's number, a dispute at Stripe, an e-mail address, or a voucher's code or its last"
        " four symbols"
    )
    fieldsets = (
        (
            None,
            {
                "fields": (("outcome_shown", "amount_shown"), ("transaction_link", "buyer")),
                "description": "It is answered in Stripe's dashboard.",
            },
        ),
        ("Stripe", {"fields": (("stripe_dispute_id", "stripe_status"), "reason")}),
        ("Times", {"fields": (("opened_at", "closed_at", "updated_at"),)}),
    )
    readonly_fields = ("outcome_shown", "amount_shown", "transaction_link", "buyer", "updated_at")

    @display(description="outcome", ordering="outcome", label=OUTCOME_COLOURS)
    def outcome_shown(self, dispute: Dispute) -> str:
        return dispute.get_outcome_display()


class WaitingFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting"), ("applied", "Applied")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StripeEvent]) -> QuerySet[StripeEvent]:
        match self.value():
            case "waiting":
                return queryset.filter(processed_at=None)
            case "applied":
                return queryset.exclude(processed_at=None)
        return queryset


@admin.register(StripeEvent)
class StripeEventAdmin(LookedAtAdmin):
    list_display = ("received_at", "type", "object_id", "attempts", "outcome", "processed_at")
    list_filter = (WaitingFilter,)
    search_fields = ("=stripe_id", "=object_id", "type")
    search_help_text = "An event, an object, or part of a type"
    fields = ("stripe_id", "type", "object_id", "received_at", "processed_at", "outcome", "attempts")
