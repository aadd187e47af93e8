from django.urls import path

from . import views

app_name = "vouchers"
urlpatterns = [
    path("types/", views.Types.as_view(), name="types"),
    path("my-vouchers/", views.MyVouchers.as_view(), name="my-vouchers"),
    path("redeem/", views.Redeem.as_view(), name="redeem"),
    path("detail/<str:code>/", views.VoucherDetail.as_view(), name="detail"),
    path("detail/<str:code>/qr/", views.VoucherQr.as_view(), name="qr"),
    path("detail/<str:code>/pdf/", views.VoucherPdf.as_view(), name="pdf"),
    path("stats/", views.Stats.as_view(), name="stats"),
    path("usage-history/", views.UsageHistory.as_view(), name="usage-history"),
]
