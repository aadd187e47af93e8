"""Settings of the OpenAPI document, and the version of the API; its words stand in openapi_descriptions.py."""

from typing import Any, Final

from apps.core.email_addresses import is_address

from .openapi_descriptions import DESCRIPTION, TAGS

VERSION: Final = "1.1.0"

_SETTINGS: Final[dict[str, Any]] = {
    "DESCRIPTION": DESCRIPTION,
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
    "TAGS": TAGS,
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


def spectacular_settings(shop_name: str, contact: str) -> dict[str, Any]:
    """SPECTACULAR_SETTINGS of the settings: whose API it is, and whom to ask (where it is an address or a page)."""
    of_shop: dict[str, Any] = {"TITLE": f"{shop_name} API"}
    if is_address(contact):
        of_shop["CONTACT"] = {"name": shop_name, "email": contact}
    elif contact.startswith(("https://", "http://")):
        of_shop["CONTACT"] = {"name": shop_name, "url": contact}
    return _SETTINGS | of_shop
