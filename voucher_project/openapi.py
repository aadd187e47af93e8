"""Settings of the OpenAPI document: what it says of the API as a whole."""

from typing import Any, Final

from apps.core.email_addresses import is_address

VERSION: Final = "1.1.0"

_SETTINGS: Final[dict[str, Any]] = {
    "DESCRIPTION": "Buy prepaid vouchers, get codes, redeem them.",
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
    "ENUM_NAME_OVERRIDES": {
        "VoucherStatus": "apps.vouchers.states.VoucherStatus.choices",
        "InactiveReason": "apps.vouchers.states.InactiveReason.choices",
        "TransactionStatus": "apps.payments.models.TransactionStatus.choices",
    },
}

# What errors of the apps add to problem documents (RFC 9457, section 3.2), as the OpenAPI document describes it.
PROBLEM_EXTENSION_MEMBERS: Final = {
    "reason": {
        "type": "string",
        "description": "With code voucher_inactive: the voucher's inactive_reason.",
    },
    "stripe_status": {
        "type": "string",
        "description": "With code payment_not_completed: where the payment stands at Stripe.",
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
