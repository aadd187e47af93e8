"""What the OpenAPI document says of the API, its tags and parameters, of members of problem documents, and of states.

Views say what an operation does (`@documented`), serializers what their fields mean.
"""

from pathlib import Path
from typing import Any, Final

DESCRIPTION: Final = (
    "Buy prepaid vouchers, get codes, redeem them.\n\nSend an access token of register or login as "
    "`Authorization: Bearer …`, or sign in by cookie. Every error is a problem document (RFC 9457) with a stable "
    "`code`. Send purchases, redemptions and refund requests with an `Idempotency-Key` of your own: repeated, they are "
    "done once. Money is a string with two places beside its `currency`; times are ISO 8601 in UTC."
)

# The first part of a path is the tag of its operations; all other paths have the last one.
TAGS: Final = [
    {
        "name": "auth",
        "description": "Accounts and sessions: sign up, in and out, tokens, forgotten passwords.",
    },
    {
        "name": "users",
        "description": "One's own account: profile, password, everything held, closing it.",
    },
    {
        "name": "vouchers",
        "description": "What is on sale, buying it, one's own vouchers, and redeeming them.",
    },
    {"name": "payments", "description": "Paying for vouchers: starting, confirming, receipts, refunds."},
    {"name": "analytics", "description": "Figures: of the platform for staff, else one's own."},
    {"name": "service", "description": "The API itself: its version and its health."},
]

API_DESCRIPTION: Final[dict[str, Any]] = {
    # Requests and answers that were recorded (apps/core/api/openapi_examples.py).
    "examples": Path(__file__).parent / "openapi_examples",
    # What views do not say of parameters of these names.
    "parameters": {
        "code": {
            "description": "A voucher's code, in any case, with or without dashes.",
            "example": "RT9B-PD2Z-H2WX-3JMD",
        },
        "transaction_id": {"description": "A transaction's `id`.", "example": 1},
        "ordering": {"description": "Newest purchase first unless said; `-` is for descending."},
        "service_type": {"description": "What the voucher is redeemed for."},
        "status": {"description": "Only those in this state."},
        "voucher_type": {"description": "The `id` of a voucher type."},
        "format": {"description": "Of the picture."},
    },
    # What errors of the apps add to problem documents (RFC 9457, section 3.2).
    "problem_members": {
        "reason": {
            "allOf": [{"$ref": "#/components/schemas/InactiveReason"}],
            "description": "With code voucher_inactive: the voucher's inactive_reason.",
        },
        "stripe_status": {
            "type": "string",
            "description": "With code payment_not_completed: where the payment stands at Stripe.",
        },
    },
    # What the values of an enum mean.
    "enums": {
        "VoucherStatus": "`used`: no uses left. `expired`: its last day has passed. `inactive`: see `inactive_reason`.",
        "InactiveReason": "`refund_pending`: a refund is requested. `refunded`: the money went back. `disputed`: the "
        "buyer's bank disputes the payment. `withdrawn`: the service is no longer offered. `by_staff`: its history "
        "says why.",
        "TransactionStatus": "`pending`: not paid yet. `completed`: paid, the vouchers are issued. `failed`: not paid, "
        "and not to be paid any more. `refunded`: the whole amount went back.",
        "RefundStatus": "`requested`: staff have to decide. `approved`: the money is about to go back. `pending`: at "
        "the bank. `succeeded`: the money is back. `failed`: the bank did not take it. `rejected`: by staff. "
        "`canceled`: nothing was left to give back.",
        "VoucherEventKind": "`issued`: bought, or issued in bulk. `held`, `released`: a refund, a dispute or the end "
        "of a service stops it, or does no longer. `voided`: its money went back, or staff ended it. `suspended`: by "
        "staff. `extended`: it has more days. `reversed`: a use was given back. `reissued`: it has a new "
        "code. `reassigned`: it has another owner. `reminded`: the owner had a mail before it expires. "
        "`closed`: the owner's account was closed.",
        "FiguresScope": "`platform`: of everybody, for staff. `personal`: the caller's own.",
        "FiguresEventType": "What happened: a purchase that was paid, or a use of a voucher.",
    },
}
