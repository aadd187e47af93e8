"""The settings of django-unfold, the look of the admin."""

from typing import Any

from django.urls import reverse_lazy


def unfold_settings(shop_name: str, site_url: str, *, logo: str) -> dict[str, Any]:
    """UNFOLD of the settings; `site_url` is where "View site" leads, `logo` a static file, or empty."""
    return {
        "SITE_TITLE": shop_name,
        "SITE_HEADER": shop_name,
        "SITE_ICON": (lambda request: _logo(logo)) if logo else None,
        "SITE_SYMBOL": "confirmation_number",
        "SITE_URL": site_url,
        "DASHBOARD_CALLBACK": "apps.analytics.backoffice.front_page.dashboard_callback",
        "STYLES": [lambda request: _static("core/admin.css")],
        "SIDEBAR": {"show_search": True, "navigation": "voucher_project.admin_navigation.sidebar"},
        "TABS": "voucher_project.admin_navigation.tabs",
        "ACCOUNT": {
            "navigation": [
                {"title": "Change password", "link": reverse_lazy("admin:password_change")},
                {"title": "Second factor", "link": reverse_lazy("second-factor-factors")},
            ]
        },
        "LOGIN": {"form": "apps.authentication.forms.AdminLoginForm"},
    }


def _static(place: str) -> str:
    from django.templatetags.static import static  # not at the top: it reads the settings

    return static(place)


def _logo(place: str) -> str | None:
    """The address of the logo; None where it came after static files were collected: the admin is there without it."""
    try:
        return _static(place)
    except ValueError:
        return None
