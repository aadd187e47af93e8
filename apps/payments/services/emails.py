"""Mail to buyers about what they paid, and what became of it.

Each function puts one mail into the queue, in the database transaction of what it reports, and returns whether
there is anybody to send it to: an account that was closed has no address. No mail says anything that a person
could have written about themselves, but their first name where it is one (`core.mail.messages.greeting`): whoever
registered with another's address would write to them in our name.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from apps.core import mail
from apps.core.money import format_amount
from apps.payments.models import (
    Dispute,
    DisputeOutcome,
    Refund,
    RefundOrigin,
    RefundStatus,
    Transaction,
    TransactionStatus,
)
from apps.users import email_links, withheld_mails
from apps.users.models import User
from apps.vouchers import qr
from apps.vouchers.models import Voucher
from apps.vouchers.services import mail_pictures
from apps.vouchers.services.owner_notices import described
from apps.vouchers.states import Hold, VoucherStatus
from apps.vouchers.voucher_pdf import Paper, vouchers_pdf

from . import receipts

log = logging.getLogger(__name__)

RECEIPT: Final = "payments.receipt"
VOUCHERS_ATTACHED: Final = 50  # vouchers that go with a mail as PDF: about 1 MB, and a second of drawing
# The mail for each status of a refund; approved and pending are the same to a buyer.
DECIDED: Final = {
    RefundStatus.APPROVED: "refund_approved",
    RefundStatus.PENDING: "refund_approved",
    RefundStatus.SUCCEEDED: "refund_succeeded",
    RefundStatus.REJECTED: "refund_rejected",
    RefundStatus.FAILED: "refund_failed",
    RefundStatus.CANCELED: "refund_canceled",
}
# After these the vouchers are let go, unless something else holds them.
UNREFUNDED: Final = (RefundStatus.REJECTED, RefundStatus.FAILED, RefundStatus.CANCELED)


def queue_receipt(transaction: Transaction, vouchers: Sequence[Voucher] | None = None) -> bool:
    """Mail the buyer the codes of a paid transaction, each with its state as it is now, and the receipt as PDF.

    `vouchers` are its vouchers, where the caller has them as they are now. Done again, it sends another. To an address
    that is not confirmed goes a mail without them, and this one once it is. Returns whether there is anybody to send it
    to.
    """
    if not transaction.user.mail_address:
        return False
    if withheld_mails.withhold(
        user=transaction.user,
        kind=RECEIPT,
        reference=transaction.pk,
        instead=lambda: _queue_without_codes(transaction),
    ):
        return True
    now = timezone.now()
    currency = transaction.currency
    current = list(transaction.vouchers if vouchers is None else vouchers)
    usable = [voucher for voucher in current if voucher.status_at(now) == VoucherStatus.ACTIVE]
    shown = usable[: mail_pictures.SHOWN]
    return _queue(
        transaction,
        template="payments/receipt",
        layout="payments/mail/receipt",
        context={
            "number": transaction.pk,
            "paid_at": transaction.completed_at or now,
            "name": transaction.sold_as,
            "quantity": transaction.quantity,
            "unit_price": format_amount(transaction.unit_price, currency),
            "amount": format_amount(transaction.amount, currency),
            "refunded": transaction.amount_refunded and format_amount(transaction.amount_refunded, currency),
            "vouchers": [_voucher(voucher, now, has_qr=voucher in shown) for voucher in current],
            "redeem_page": qr.redeem_page(),
            "vouchers_attached": attaches_vouchers(transaction),
        },
        attach=(RECEIPT, _attached(transaction, current)),
        show=mail_pictures.qr_codes(shown) if shown else None,
    )


def mail_withheld_receipt(buyer: User, transaction_id: int) -> None:
    """Mail the codes and the receipt of a payment that arrived before its buyer confirmed the address."""
    paid = Transaction.objects.select_related("user").filter(pk=transaction_id, user=buyer).first()
    if paid is not None:
        queue_receipt(paid)


def _queue_without_codes(paid: Transaction) -> bool:
    """Tell a buyer, whose address is not confirmed, where the codes of a paid transaction are, and how to get them."""
    return _queue(
        paid,
        template="payments/receipt_withheld",
        greets=False,
        context={
            "number": paid.pk,
            "name": paid.sold_as,
            "quantity": paid.quantity,
            "amount": format_amount(paid.amount, paid.currency),
            "link": email_links.confirmation_url(paid.user_id, paid.user.email),
        },
    )


def _attached(paid: Transaction, vouchers: Sequence[Voucher]) -> dict[str, Any]:
    """What `receipt_attachments` is called with: no code in full, but which codes these vouchers have now."""
    arguments: dict[str, Any] = {"transaction_id": paid.pk}
    if attaches_vouchers(paid):
        arguments["vouchers"] = mail_pictures.numbered(vouchers)
    return arguments


def receipt_attachments(
    *, transaction_id: int, vouchers: Sequence[Sequence[Any]] | None = None
) -> list[mail.Attachment]:
    """The receipt of a paid transaction as PDF, for the mail that is about to be sent.

    With MAIL_VOUCHERS_PDF its vouchers too, as they are now: as many as fit, see `attaches_vouchers`. `vouchers` are
    those in the mail, by number and last four of their codes. One that has another code by now is left out: that was
    mailed to its owner, and whoever reads this mail may be another since. Mails of the version before name none.
    """
    paid = Transaction.objects.select_related("user", "receipt").get(pk=transaction_id)
    files = [mail.Attachment(*receipts.print_receipt(paid), media_type="application/pdf")]
    if attaches_vouchers(paid):
        current = list(paid.vouchers)
        if vouchers is not None:
            current = mail_pictures.with_same_code(current, vouchers)
        if current:
            content = vouchers_pdf(current, Paper.A5)
            files.append(mail.Attachment(f"vouchers-{paid.pk}.pdf", content, "application/pdf"))
    return files


def attaches_vouchers(paid: Transaction) -> bool:
    """Whether the mail with the codes brings the vouchers of this purchase as PDF too."""
    return bool(settings.MAIL_VOUCHERS_PDF) and paid.quantity <= VOUCHERS_ATTACHED


def refund_requested(refund: Refund) -> bool:
    """Tell the buyer that a refund was requested, and which vouchers are held for it meanwhile."""
    return _about_refund(refund, "refund_requested", by_buyer=refund.origin == RefundOrigin.BUYER)


def refund_lowered(refund: Refund, *, before: Decimal) -> bool:
    """Tell the buyer that a refund that waits for a decision is of less than `before`, as some went back meanwhile."""
    before_text = format_amount(before, refund.transaction.currency)
    return _about_refund(refund, "refund_lowered", before=before_text)


def refund_decided(refund: Refund) -> bool:
    """Tell the buyer what became of a refund, by its status; one that is still requested has nothing to tell.

    Call it when the status changes, and not for both of approved and pending: they are the same to a buyer.
    """
    if refund.status not in DECIDED:
        return False
    return _about_refund(refund, DECIDED[RefundStatus(refund.status)])


def dispute_opened(dispute: Dispute) -> bool:
    """Tell the buyer that their bank asks about a payment, and that its vouchers are suspended."""
    return _about_dispute(dispute, "dispute_opened", inquiry=dispute.is_inquiry)


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
        void = [
            voucher
            for voucher in vouchers
            if Hold.REFUNDED in voucher.held_for and voucher.pk not in refunded
        ]
        return _about_dispute(dispute, "dispute_lost", void)
    usable = [voucher for voucher in vouchers if voucher.is_active]
    return _about_dispute(
        dispute,
        "dispute_won",
        usable,
        stands=paid.status != TransactionStatus.REFUNDED,
        disputed=not usable and paid.disputes.filter(outcome=DisputeOutcome.OPEN).exists(),
    )


def _about_refund(refund: Refund, notice: str, **words: Any) -> bool:
    paid = refund.transaction
    vouchers = [line.voucher for line in refund.lines.select_related("voucher").order_by("voucher_id")]
    if refund.status in UNREFUNDED:
        free = [voucher for voucher in vouchers if voucher.is_active]
        words["still_held"] = not free  # disputed, say, or refunded in Stripe's dashboard instead
        vouchers = free or vouchers
    amount = format_amount(refund.amount, paid.currency)
    return _notify(
        paid,
        notice,
        vouchers,
        amount=amount,
        refund=str(refund.pk),
        note=refund.decision_note,
        **words,
    )


def _about_dispute(dispute: Dispute, notice: str, vouchers: Sequence[Voucher] = (), **words: Any) -> bool:
    paid = dispute.transaction
    amount = format_amount(dispute.amount, paid.currency)
    return _notify(paid, notice, vouchers, amount=amount, **words)


def _notify(paid: Transaction, notice: str, vouchers: Sequence[Voucher], **context: Any) -> bool:
    """Queue a notice, whose words stand in the template of its name, with the endings of these vouchers' codes."""
    return _queue(
        paid,
        template=f"payments/{notice}",
        layout="payments/mail/notice",
        context={
            "purchase": str(paid.pk),
            "quantity": paid.quantity,
            "name": paid.sold_as,
            "codes": [str(voucher) for voucher in vouchers],
            **context,
        },
    )


def _queue(
    paid: Transaction,
    *,
    template: str,
    context: dict[str, Any],
    layout: str = mail.LETTER,
    attach: tuple[str, dict[str, Any]] | None = None,
    show: tuple[str, dict[str, Any]] | None = None,
    greets: bool = True,
) -> bool:
    """Queue a mail to the buyer. A text that can't be written is logged, and stands in no payment's way."""
    address = paid.user.mail_address
    if not address:
        return False
    try:
        mail.enqueue(
            to=address,
            name=paid.user.first_name if greets else "",
            template=template,
            language=paid.user.language,
            layout=layout,
            context={"link": settings.FRONTEND_URL, **context},
            attach=attach,
            show=show,
        )
    except DatabaseError:
        raise
    except Exception:
        log.exception("No mail %s about transaction %s", template, paid.pk)
        return False
    return True


def _voucher(voucher: Voucher, now: datetime, *, has_qr: bool) -> dict[str, Any]:
    """What a receipt says of a voucher as it is now."""
    return {
        **described(voucher, now),
        "code": voucher.shown_code,
        "qr": mail_pictures.qr_id(voucher) if has_qr else "",
        "usable": voucher.status_at(now) == VoucherStatus.ACTIVE,
    }
