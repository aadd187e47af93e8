"""Links to Stripe's dashboard, where disputes are answered and a payment's way is told at length."""

from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.html import format_html

from apps.payments.checks import LIVE_KEYS

DASHBOARD: Final = "https://dashboard.stripe.com"
API_HOST: Final = "api.stripe.com"


def dashboard_address(kind: str, stripe_id: str | None) -> str | None:
    """The page of a payment, refund, dispute or event (`payments/pi_1`), of test or live mode as our key is.

    None without an id, and where another than Stripe is spoken to: the local Stripe has no dashboard.
    """
    if not stripe_id or urlsplit(settings.STRIPE_API_BASE).hostname != API_HOST:
        return None
    mode = "" if settings.STRIPE_SECRET_KEY.startswith(LIVE_KEYS) else "/test"
    return f"{DASHBOARD}{mode}/{kind}/{stripe_id}"


def dashboard_link(kind: str, stripe_id: str | None, text: str | None = None) -> str:
    """An id of Stripe's, as a link to its page there; the id alone where there is no such page."""
    address = dashboard_address(kind, stripe_id)
    if address is None:
        return stripe_id or ""
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500" href="{}" target="_blank" rel="noopener noreferrer">{}</a>',
        address,
        text or f"{stripe_id}, at Stripe",
    )
