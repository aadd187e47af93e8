"""What Django's system checks say of this app's settings, at `check`, `migrate`, `runserver` and at the start."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

from apps.core.checks import AT_START

LIVE_KEYS = ("sk_live_", "rk_live_")
LOCAL_NAMES = ("localhost", "local", "internal", "test", "testserver")


@register(Tags.security)
def debug_with_live_keys(**context: Any) -> list[CheckMessage]:
    """Warn of DEBUG with live keys where others than the developer can come: its error pages show settings."""
    public = [host for host in _hosts() if _is_public(host)]
    if not (settings.DEBUG and settings.STRIPE_SECRET_KEY.startswith(LIVE_KEYS) and public):
        return []
    return [
        Warning(
            f"DEBUG is on with a live Stripe key, and this site answers as {', '.join(public)}: error pages "
            "show its insides to everybody, and no unsafe setting is refused.",
            hint="Set DEBUG=False, or use test keys.",
            id="payments.W001",
        )
    ]


@register(AT_START, deploy=True)
def receipts_name_a_seller(**context: Any) -> list[CheckMessage]:
    """Warn where receipts would say of nobody that they sold: what is printed so stays so."""
    if settings.DEBUG or settings.SHOP_SELLER.name:
        return []
    return [
        Warning(
            "SHOP_SELLER is not set: receipts name no seller, and no bookkeeper takes them.",
            hint="Set it before the first sale: Exams Ltd | 1 Main Street, Accra | TIN C0001.",
            id="payments.W002",
        )
    ]


def _hosts() -> list[str]:
    """The names under which this site says that it is reached."""
    addresses = [urlsplit(url).hostname or "" for url in (settings.API_URL, settings.FRONTEND_URL)]
    return list(dict.fromkeys([*settings.ALLOWED_HOSTS, *addresses]))


def _is_public(host: str) -> bool:
    """Whether a name or address may be one of the internet. "*" is every name, ".example.com" a whole domain."""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return host != "" and host.rpartition(".")[2] not in LOCAL_NAMES
