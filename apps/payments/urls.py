from django.urls import path

from . import views

app_name = "payments"
urlpatterns = [
    path("create-payment-intent/", views.CreatePaymentIntent.as_view(), name="create-payment-intent"),
    path("confirm-payment/", views.ConfirmPayment.as_view(), name="confirm-payment"),
    path("history/", views.History.as_view(), name="history"),
    path("transaction/<int:transaction_id>/", views.TransactionDetail.as_view(), name="transaction"),
    path("transaction/<int:transaction_id>/receipt/", views.Receipt.as_view(), name="receipt"),
    path(
        "transaction/<int:transaction_id>/vouchers/pdf/",
        views.VouchersPdf.as_view(),
        name="transaction-vouchers-pdf",
    ),
    path("refund/request/", views.RequestRefund.as_view(), name="refund-request"),
    path("refunds/", views.Refunds.as_view(), name="refunds"),
    path("webhook/", views.Webhook.as_view(), name="webhook"),
    # Names that the older web client knows.
    path("create-intent/", views.CreateIntent.as_view(), name="create-intent"),
    path("confirm/", views.Confirm.as_view(), name="confirm"),
]
