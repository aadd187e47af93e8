"""Mail to buyers about what they paid, and what became of it.

Each function puts one mail into the queue, in the database transaction of what it reports, and returns whether
there is anybody to send it to: an account that was closed has no address. No mail says anything that a person
could have written about themselves: whoever registered with another's address would write to them in our name.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from django.utils.formats import date_format

from apps.core import mail
from apps.payments import receipt_pdf, stripe_amounts
from apps.payments.models import (
    Dispute,
    DisputeOutcome,
    Refund,
    RefundOrigin,
    RefundStatus,
    Transaction,
    TransactionStatus,
)
from apps.vouchers.models import Hold, InactiveReason, Voucher, VoucherStatus

log = logging.getLogger(__name__)

RECEIPT: Final = "payments.receipt"
WHY_INACTIVE: Final = {
    InactiveReason.REFUND_PENDING: "Can't be used at the moment: a refund is under way",
    InactiveReason.REFUNDED: "Refunded: it can't be used any more",
    InactiveReason.DISPUTED: "Can't be used at the moment: your bank asks about the payment",
    InactiveReason.WITHDRAWN: "Can't be used: the service was withdrawn",
    InactiveReason.BY_STAFF: "Can't be used: stopped by our staff",
}
VOID: Final = "The vouchers that it is for can't be used any more:"
RELEASED: Final = "The vouchers that were held for it are released, with the days that they lost meanwhile:"
STILL_HELD: Final = "The vouchers that it was for still can't be used, for another reason:"
ON_ITS_WAY: Final = (
    "Your refund is on its way",
    "We have approved the refund of {amount} for your purchase {purchase}, and are sending the money back to"
    " where it came from. That may take some days.",
    VOID,
)
# By status: the subject, what happened, and what that means for the vouchers that are listed, if there are any.
DECIDED: Final = {
    RefundStatus.APPROVED: ON_ITS_WAY,
    RefundStatus.PENDING: ON_ITS_WAY,
    RefundStatus.SUCCEEDED: (
        "Your refund has been made",
        "We have sent {amount} of your purchase {purchase} back to where it came from. Banks take up to ten"
        " working days to show it.",
        VOID,
    ),
    RefundStatus.REJECTED: (
        "Your refund was declined",
        "We have looked at your request to refund {amount} of your purchase {purchase}, and declined it.",
        RELEASED,
    ),
    RefundStatus.FAILED: (
        "Your refund could not be made",
        "We wanted to send back {amount} of your purchase {purchase}, but the payment provider could not do it.",
        RELEASED,
    ),
    RefundStatus.CANCELED: (
        "Your refund was cancelled",
        "The refund of {amount} for your purchase {purchase} was cancelled.",
        RELEASED,
    ),
}


def queue_receipt(transaction: Transaction) -> bool:
    """Mail the buyer the codes of a paid transaction, each with its state as it is now, and the receipt as PDF.

    Done again, it sends another. Returns whether there is anybody to send it to.
    """
    now = timezone.now()
    name = transaction.sold_as
    currency = transaction.currency
    return _queue(
        transaction,
        subject=f"Your vouchers: {transaction.quantity} × {name}",
        template="payments/receipt",
        context={
            "number": transaction.pk,
            "paid_at": _moment(transaction.completed_at or now),
            "name": name,
            "quantity": transaction.quantity,
            "unit_price": stripe_amounts.format_amount(transaction.unit_price, currency),
            "amount": stripe_amounts.format_amount(transaction.amount, currency),
            "refunded": transaction.amount_refunded
            and stripe_amounts.format_amount(transaction.amount_refunded, currency),
            "vouchers": [
                {
                    "code": voucher.shown_code,
                    "state": _state(voucher, now),
                    "usable": voucher.status_at(now) == VoucherStatus.ACTIVE,
                }
                for voucher in transaction.vouchers
            ],
        },
        attach=(RECEIPT, {"transaction_id": transaction.pk}),
    )


def receipt_attachment(*, transaction_id: int) -> mail.Attachment:
    """The receipt of a paid transaction as PDF, for the mail that is about to be sent."""
    paid = Transaction.objects.select_related("voucher_type", "user").get(pk=transaction_id)
    return mail.Attachment(receipt_pdf.file_name(paid), receipt_pdf.receipt_pdf(paid), "application/pdf")


def refund_requested(refund: Refund) -> bool:
    """Tell the buyer that a refund was asked for, and which vouchers are held for it meanwhile."""
    asked = (
        "We have got your request to refund {amount} of your purchase {purchase}. Our staff will decide about it"
        if refund.origin == RefundOrigin.BUYER
        else "Our staff have prepared a refund of {amount} for your purchase {purchase}, and will decide about it"
    )
    return _about_refund(
        refund,
        subject="Your request for a refund" if refund.origin == RefundOrigin.BUYER else "A refund for you",
        text=f"{asked} soon.",
        about_vouchers="Until then these vouchers can't be used:",
    )


def refund_lowered(refund: Refund, *, before: Decimal) -> bool:
    """Tell the buyer that a refund that waits for a decision is of less than `before`, as some went back meanwhile."""
    return _about_refund(
        refund,
        subject="Your request for a refund was changed",
        text="Some of the money for your purchase {purchase} has gone back to you meanwhile. So our staff will decide"
        f" about {{amount}} instead of {stripe_amounts.format_amount(before, refund.transaction.currency)}.",
        about_vouchers="Until then these vouchers can't be used:",
    )


def refund_decided(refund: Refund) -> bool:
    """Tell the buyer what became of a refund, by its status; one that is still requested has nothing to tell.

    Call it when the status changes, and not for both of approved and pending: they are the same to a buyer.
    """
    if refund.status not in DECIDED:
        return False
    subject, text, about_vouchers = DECIDED[RefundStatus(refund.status)]
    return _about_refund(refund, subject=subject, text=text, about_vouchers=about_vouchers)


def dispute_opened(dispute: Dispute) -> bool:
    """Tell the buyer that their bank asks about a payment, and that its vouchers are suspended."""
    what = (
        "Your bank asks about {amount} of your purchase {purchase}."
        if dispute.is_inquiry
        else "Your bank has taken back {amount} of your purchase {purchase}, and will decide about it."
    )
    return _about_dispute(
        dispute,
        subject="Your bank asks about a payment",
        paragraphs=[
            f"{what} Until this is settled, the vouchers of that purchase can't be used. If you did not mean to"
            " object to the payment, please tell your bank."
        ],
    )


def dispute_closed(dispute: Dispute) -> bool:
    """Tell the buyer how a dispute ended, and which vouchers of the payment are void or can be used again.

    One that is still open has nothing to tell. Call it when the vouchers are held as follows from its end.
    """
    if dispute.outcome == DisputeOutcome.OPEN:
        return False
    paid = dispute.transaction
    vouchers = list(paid.vouchers)
    if dispute.outcome == DisputeOutcome.LOST:
        refunded = set(paid.refunds.filter(lines__live=True).values_list("lines__voucher", flat=True))
        listed = [each for each in vouchers if Hold.REFUNDED in each.held_for and each.pk not in refunded]
        paragraphs = ["Your bank has given {amount} of your purchase {purchase} back to you."]
        if listed:
            paragraphs.append("These vouchers of that purchase can't be used any more:")
    else:
        listed = [each for each in vouchers if each.is_active]
        stands = ", and the payment stands" if paid.status != TransactionStatus.REFUNDED else ""
        paragraphs = [f"What your bank asked about your purchase {{purchase}} is settled{stands}."]
        if listed:
            paragraphs.append(
                "These vouchers can be used again, and got the days back that they lost meanwhile:"
            )
        elif paid.disputes.filter(outcome=DisputeOutcome.OPEN).exists():
            paragraphs.append(
                "It still asks about that purchase otherwise. Until that is settled too, its vouchers can't be used."
            )
    return _about_dispute(
        dispute,
        subject="What your bank asked about is settled",
        paragraphs=paragraphs,
        codes=[str(each) for each in listed],
    )


def _about_refund(refund: Refund, *, subject: str, text: str, about_vouchers: str) -> bool:
    paid = refund.transaction
    amount = stripe_amounts.format_amount(refund.amount, paid.currency)
    paragraphs = [text.format(amount=amount, purchase=paid.pk)]
    lines = list(refund.lines.select_related("voucher").order_by("voucher_id"))
    if about_vouchers == RELEASED:
        free = [line for line in lines if line.voucher.is_active]
        if lines and not free:  # disputed, say, or refunded in Stripe's dashboard instead
            about_vouchers = STILL_HELD
        lines = free or lines
    if lines:
        paragraphs.append(about_vouchers)
    elif about_vouchers == VOID:  # less than a voucher's price, refunded in Stripe's dashboard
        paragraphs.append("Your vouchers stay as they are.")
    facts = [("Refund", refund.pk), ("Purchase", paid.pk), ("Amount", amount)]
    if refund.decision_note:
        facts.append(("Our note", refund.decision_note))
    codes = [str(line.voucher) for line in lines]
    return _notify(paid, subject=subject, paragraphs=paragraphs, codes=codes, facts=facts)


def _about_dispute(
    dispute: Dispute, *, subject: str, paragraphs: list[str], codes: Sequence[str] = ()
) -> bool:
    paid = dispute.transaction
    amount = stripe_amounts.format_amount(dispute.amount, paid.currency)
    return _notify(
        paid,
        subject=subject,
        paragraphs=[text.format(amount=amount, purchase=paid.pk) for text in paragraphs],
        codes=codes,
        facts=[("Purchase", paid.pk), ("Amount", amount)],
    )


def _notify(paid: Transaction, *, subject: str, **context: Any) -> bool:
    return _queue(paid, subject=subject, template="payments/notice", context={"subject": subject, **context})


def _queue(
    paid: Transaction,
    *,
    subject: str,
    template: str,
    context: dict[str, Any],
    attach: tuple[str, dict[str, Any]] | None = None,
) -> bool:
    """Queue a mail to the buyer. A text that can't be written is logged, and stands in no payment's way."""
    address = paid.user.mail_address
    if not address:
        return False
    try:
        mail.enqueue(
            to=address,
            subject=subject,
            template=template,
            context={**context, "link": settings.FRONTEND_URL},
            attach=attach,
        )
    except DatabaseError:
        raise
    except Exception:
        log.exception("No mail %s about transaction %s", template, paid.pk)
        return False
    return True


def _state(voucher: Voucher, now: datetime) -> str:
    match voucher.status_at(now):
        case VoucherStatus.ACTIVE:
            uses = (
                f", {voucher.uses_remaining} of {voucher.total_uses} uses" if voucher.total_uses > 1 else ""
            )
            return f"Valid until {_day(voucher.expiry_date)}{uses}"
        case VoucherStatus.USED:
            return "Used"
        case VoucherStatus.EXPIRED:
            return f"Expired on {_day(voucher.expiry_date)}"
    return WHY_INACTIVE[InactiveReason(voucher.inactive_reason)]


def _day(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "j F Y")


def _moment(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "j F Y, H:i T")
