"""Where each app is mounted."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path

from apps.analytics.backoffice.daily_figures_export import export_daily_figures
from apps.analytics.backoffice.revenue_page import revenue_page
from apps.authentication import email_views
from apps.authentication import views as authentication
from apps.core import mail_pages, metrics_page
from apps.core import views as core
from apps.core.backoffice.search import search
from apps.payments import views as payments
from apps.users import pictures
from apps.users import views as users

urlpatterns = [
    # What is called most is looked at first.
    path("api/vouchers/purchase/", payments.Purchase.as_view(), name="purchase"),  # by its address a voucher
    path("api/vouchers/", include("apps.vouchers.urls")),
    path("api/payments/", include("apps.payments.urls")),
    path("api/", core.Index.as_view(), name="index"),
    path("api/health/", core.Health.as_view(), name="health"),
    path("api/health/ready/", core.Ready.as_view(), name="ready"),
    path("metrics", metrics_page.metrics, name="metrics"),
    path("api/test/", core.Test.as_view(), name="test"),
    path("api/schema/", core.Schema.as_view(), name="schema"),
    path("api/docs/", core.Docs.as_view(url_name="schema"), name="docs"),
    path("api/auth/", include("apps.authentication.urls")),
    # The addresses are among the users, the use cases are about sessions: the URL space is not the code's.
    path("api/users/profile/", authentication.Account.as_view(), name="profile"),
    path("api/users/change-password/", authentication.ChangePassword.as_view(), name="change-password"),
    path("api/users/change-email/", email_views.ChangeEmail.as_view(), name="change-email"),
    path("api/users/", include("apps.users.urls")),
    path("api/analytics/", include("apps.analytics.urls")),
    path("admin/login/", authentication.sign_in_to_admin, name="admin-login"),
    path("admin/password_change/", authentication.change_password_in_admin, name="admin-password-change"),
    path("admin/second-factor/", include("apps.authentication.backoffice.urls")),
    path("admin/search/", admin.site.admin_view(search), name="admin-search"),  # in place of unfold's
    path("admin/revenue/", admin.site.admin_view(revenue_page), name="admin-revenue"),
    path("admin/revenue/export/", admin.site.admin_view(export_daily_figures), name="admin-revenue-export"),
    path("admin/", admin.site.urls),
    re_path(
        rf"^{settings.MEDIA_URL.lstrip('/')}{pictures.FOLDER}/(?P<name>{pictures.NAME})\Z",
        users.picture,
        name="profile-picture",
    ),
    path("mail/", mail_pages.mail_list, name="mail-list"),
    path("mail/<int:number>/", mail_pages.mail_message, name="mail-message"),
    path("mail/<int:number>/attachment/<int:place>/", mail_pages.mail_attachment, name="mail-attachment"),
    path("", include("shop.urls")),
]

if settings.DEBUG_TOOLBAR:
    from debug_toolbar.toolbar import debug_toolbar_urls

    urlpatterns = [*debug_toolbar_urls(), *urlpatterns]

handler404 = "apps.core.views.no_such_address"
handler500 = "apps.core.views.server_error"
