"""Settings of the OpenAPI document: what it says of the API as a whole."""

from pathlib import Path
from typing import Any, Final

from apps.core.email_addresses import is_address

VERSION: Final = "1.1.0"

_SETTINGS: Final[dict[str, Any]] = {
    "DESCRIPTION": "Buy prepaid vouchers, get codes, redeem them.\n\nSend an access token of register or login as "
    "`Authorization: Bearer …`, or sign in by cookie. Every error is a problem document (RFC 9457) with a stable "
    "`code`. Send purchases, redemptions and refund requests with an `Idempotency-Key` of your own: repeated, they are "
    "done once. Money is a string with two places beside its `currency`; times are ISO 8601 in UTC.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "displayRequestDuration": True},
    "COMPONENT_SPLIT_REQUEST": True,
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,  # they are for who works on the code
    "SCHEMA_PATH_PREFIX": "/api/",
    "SERVERS": [{"url": "/", "description": "Where this document comes from."}],
    "LICENSE": {"name": "MIT", "url": "https://opensource.org/license/mit"},
    # The first part of a path is the tag of its operations; all other paths have the last one.
    "TAGS": [
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
    ],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.core.api.openapi_components.simplify_components",
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,  # they repeat the values; API_DESCRIPTION says what they mean
    "ENUM_NAME_OVERRIDES": {
        "Language": "apps.core.languages.Language.choices",
        "VoucherStatus": "apps.vouchers.states.VoucherStatus.choices",
        "InactiveReason": "apps.vouchers.states.InactiveReason.choices",
        "TransactionStatus": "apps.payments.models.TransactionStatus.choices",
        "RefundStatus": "apps.payments.models.RefundStatus.choices",
        "VoucherEventKind": "apps.vouchers.states.VoucherEventKind.choices",
        "FiguresScope": ("platform", "personal"),
        "FiguresEventType": ("purchase", "redemption"),
    },
}

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


def spectacular_settings(shop_name: str, contact: str) -> dict[str, Any]:
    """SPECTACULAR_SETTINGS of the settings: whose API it is, and whom to ask (where it is an address or a page)."""
    of_shop: dict[str, Any] = {"TITLE": f"{shop_name} API"}
    if is_address(contact):
        of_shop["CONTACT"] = {"name": shop_name, "email": contact}
    elif contact.startswith(("https://", "http://")):
        of_shop["CONTACT"] = {"name": shop_name, "url": contact}
    return _SETTINGS | of_shop
