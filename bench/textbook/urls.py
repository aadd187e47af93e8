"""The addresses of the product that are measured, under the same names."""

from django.urls import include, path
from rest_framework_simplejwt.views import TokenRefreshView

from .shop import views

auth = [
    path("login/", views.LoginView.as_view()),
    path("refresh/", TokenRefreshView.as_view()),
    path("token/refresh/", TokenRefreshView.as_view()),
]

vouchers = [
    path("types/", views.VoucherTypeListView.as_view()),
    path("my-vouchers/", views.MyVouchersView.as_view()),
    path("purchase/", views.PurchaseView.as_view()),
    path("redeem/", views.RedeemView.as_view()),
    path("detail/<str:code>/", views.VoucherDetailView.as_view()),
    path("stats/", views.VoucherStatsView.as_view()),
    path("usage-history/", views.UsageHistoryView.as_view()),
]

payments = [
    path("create-payment-intent/", views.CreatePaymentIntentView.as_view()),
    path("confirm-payment/", views.ConfirmPaymentView.as_view()),
    path("history/", views.PaymentHistoryView.as_view()),
]

analytics = [
    path("dashboard/", views.DashboardView.as_view()),
    path("user/", views.PersonalDashboardView.as_view()),
]

urlpatterns = [
    path("api/auth/", include(auth)),
    path("api/vouchers/", include(vouchers)),
    path("api/payments/", include(payments)),
    path("api/analytics/", include(analytics)),
]
