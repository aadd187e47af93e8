"""The states of a voucher, what keeps one from being redeemed, and what happens to it, in words that are stored."""

from datetime import datetime, tzinfo
from typing import Any, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone


class VoucherStatus(models.TextChoices):
    ACTIVE = "active"
    USED = "used"
    EXPIRED = "expired"
    INACTIVE = "inactive"


def status_condition(status: VoucherStatus, now: Any, prefix: str = "") -> Q:
    """The condition on the columns for a status; exactly one of the four holds for any voucher.

    `prefix` is a path to the voucher from another model, such as "voucher__".
    """
    active = Q(**{f"{prefix}is_active": True})
    unused = Q(**{f"{prefix}uses_remaining__gt": 0})
    current = Q(**{f"{prefix}expiry_date__gt": now})
    return {
        VoucherStatus.INACTIVE: ~active,
        VoucherStatus.USED: active & ~unused,
        VoucherStatus.EXPIRED: active & unused & ~current,
        VoucherStatus.ACTIVE: active & unused & current,
    }[status]


def status_at(now: datetime, *, is_active: bool, uses_remaining: int, expiry_date: datetime) -> VoucherStatus:
    """The status at an aware datetime by a voucher's columns; the same rule as `status_condition`."""
    if not is_active:
        return VoucherStatus.INACTIVE
    if uses_remaining == 0:
        return VoucherStatus.USED
    if expiry_date <= now:
        return VoucherStatus.EXPIRED
    return VoucherStatus.ACTIVE


def days_left_at(now: datetime, *, expiry_date: datetime, zone: tzinfo | None = None) -> int:
    """Days from the local date of `now` to that of the expiry; 0 on the last day and ever after.

    `zone` is the local one, for who reads many: to look it up takes longer than the rest.
    """
    zone = zone or timezone.get_current_timezone()
    return max(0, (expiry_date.astimezone(zone).date() - now.astimezone(zone).date()).days)


class InactiveReason(models.TextChoices):
    REFUND_PENDING = "refund_pending"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    WITHDRAWN = "withdrawn"
    BY_STAFF = "by_staff"


class Hold(models.TextChoices):
    """What keeps a voucher from being redeemed, the strongest first. Several may at once; each ends by itself."""

    VOIDED = "voided"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    REFUND_PENDING = "refund_pending"
    WITHDRAWN = "withdrawn"
    SUSPENDED = "suspended"

    @property
    def inactive_reason(self) -> InactiveReason:
        """The status that the owner sees."""
        by_staff = self in (Hold.VOIDED, Hold.SUSPENDED)
        return InactiveReason.BY_STAFF if by_staff else InactiveReason(self.value)


# Why a voucher can't be redeemed, in words, by who reads them. Buyers have whole sentences that say what it means for
# them: these on the printed voucher, and the same ones in templates/vouchers/mail/*/_state.html and in
# shop/static/shop/locales (a test compares them). Staff have the name of each hold; figures have RefusalReason, below.
# For developers voucher_project/openapi_descriptions.py says what the API's values mean. The labels of Hold stand in
# exports and in the history.
WHY_INACTIVE: Final = {
    InactiveReason.REFUND_PENDING: "Can't be used at the moment: a refund is under way",
    InactiveReason.REFUNDED: "Refunded: it can't be used any more",
    InactiveReason.DISPUTED: "Can't be used at the moment: your bank asks about the payment",
    InactiveReason.WITHDRAWN: "Can't be used: the service was withdrawn",
    InactiveReason.BY_STAFF: "Can't be used: stopped by our staff",
}
HOLDS_FOR_STAFF: Final = {
    Hold.VOIDED: "Voided by staff",
    Hold.REFUNDED: "Refunded",
    Hold.DISPUTED: "Disputed by the buyer's bank",
    Hold.REFUND_PENDING: "Refund under way",
    Hold.WITHDRAWN: "Service withdrawn",
    Hold.SUSPENDED: "Suspended by staff",
}
WHY_INACTIVE_FOR_STAFF: Final = {
    **{hold.inactive_reason: words for hold, words in HOLDS_FOR_STAFF.items()},
    InactiveReason.BY_STAFF: "Suspended or voided by staff",
}

VOID = frozenset({Hold.VOIDED, Hold.REFUNDED})  # for good
MONEY_HOLDS = frozenset({Hold.REFUNDED, Hold.DISPUTED, Hold.REFUND_PENDING})


class VoucherEventKind(models.TextChoices):
    ISSUED = "issued"
    HELD = "held"
    RELEASED = "released"
    VOIDED = "voided"
    SUSPENDED = "suspended"
    EXTENDED = "extended"
    REVERSED = "reversed"
    REISSUED = "reissued"
    REASSIGNED = "reassigned"
    REMINDED = "reminded"
    CLOSED = "closed"


class RefusalReason(models.TextChoices):
    """Why redemptions are refused, as the figures name it: the code of the answer or, of an inactive voucher, its
    `inactive_reason`. A code that has no name here is counted like any other."""

    UNKNOWN_CODE = "voucher_not_found", "Unknown code"
    MISTYPED = "code_malformed", "Mistyped code"
    USED_UP = "voucher_used_up", "Already used"
    EXPIRED = "voucher_expired", "Expired"
    OTHER_SERVICE = "service_mismatch", "For another service"
    REFUND_PENDING = (
        InactiveReason.REFUND_PENDING.value,
        WHY_INACTIVE_FOR_STAFF[InactiveReason.REFUND_PENDING],
    )
    REFUNDED = InactiveReason.REFUNDED.value, WHY_INACTIVE_FOR_STAFF[InactiveReason.REFUNDED]
    DISPUTED = InactiveReason.DISPUTED.value, "Disputed"  # short, beside a number
    WITHDRAWN = InactiveReason.WITHDRAWN.value, WHY_INACTIVE_FOR_STAFF[InactiveReason.WITHDRAWN]
    BY_STAFF = InactiveReason.BY_STAFF.value, WHY_INACTIVE_FOR_STAFF[InactiveReason.BY_STAFF]
    INACTIVE = "voucher_inactive", "Inactive"
    RATE_LIMITED = "rate_limited", "Too many attempts"
    INVALID = "validation_error", "Invalid request"
    ACCOUNT_CLOSED = "account_closed", "Account closed"
    KEY_REUSED = "idempotency_key_reused", "Key of another request"

    @staticmethod
    def name_of(reason: str) -> str:
        """The reason in words, also one that is not among these."""
        if reason in RefusalReason.values:
            return str(RefusalReason(reason).label)
        return reason.replace("_", " ").capitalize()


# The events after which a voucher that was there is as it was before.
NO_CHANGE: Final = (VoucherEventKind.ISSUED, VoucherEventKind.REMINDED)
