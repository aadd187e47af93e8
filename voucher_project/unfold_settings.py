"""The settings of django-unfold, the look of the admin."""

from typing import Any


def unfold_settings(site_url: str) -> dict[str, Any]:
    """UNFOLD of the settings; `site_url` is where "View site" leads."""
    return {
        "SITE_TITLE": "Voucher App",
        "SITE_HEADER": "Voucher App",
        "SITE_SYMBOL": "confirmation_number",
        "SITE_URL": site_url,
        "DASHBOARD_CALLBACK": "apps.analytics.backoffice.front_page.dashboard_callback",
        "SIDEBAR": {"show_search": True, "navigation": "voucher_project.admin_navigation.sidebar"},
        "TABS": "voucher_project.admin_navigation.tabs",
        "LOGIN": {"form": "apps.authentication.forms.AdminLoginForm"},
    }
