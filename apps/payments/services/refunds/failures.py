"""Refunds that came to nothing: staff are told, and say when it is settled in another way."""

import logging
from typing import Final

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.core import mail
from apps.core.money import format_amount
from apps.payments.errors import RefundNotFailed, RefundNotFound
from apps.payments.models import Refund, RefundStatus
from apps.users.selectors import staff_with_permission

log = logging.getLogger(__name__)

MAILED_AT_MOST: Final = 20  # people


def mail_staff_about_failure(refund: Refund) -> None:
    """Mail those who decide about refunds that one came to nothing after it had been sent. In its transaction."""
    path = reverse("admin:payments_refund_change", args=(refund.pk,))
    context = {
        "refund": str(refund.pk),
        "purchase": str(refund.transaction_id),
        "amount": format_amount(refund.amount, refund.transaction.currency),
        "reason": refund.failure_reason,
        "link": f"{settings.API_URL.rstrip('/')}{path}",
    }
    for person in staff_with_permission("payments.decide_refund")[:MAILED_AT_MOST]:
        mail.enqueue(
            to=person.mail_address,
            template="payments/refund_failed",
            language=None,
            context=context,
        )


def acknowledge_failed_refund(*, refund_id: int) -> bool:
    """Say of a failed refund that it is settled in another way; whether that was not said before.

    Raises RefundNotFound, and RefundNotFailed for one that is under way or ended otherwise.
    """
    failed = Refund.objects.filter(pk=refund_id, status=RefundStatus.FAILED)
    if failed.filter(acknowledged_at=None).update(acknowledged_at=timezone.now()):
        return True
    if failed.exists():
        return False
    if Refund.objects.filter(pk=refund_id).exists():
        raise RefundNotFailed
    raise RefundNotFound
