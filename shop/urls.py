"""The shop's addresses. Each is the same page: its script reads the address, and shows the view that belongs there.

Mails, QR codes and the bank lead to some of them: `redeem#code=…`, `reset-password#uid=…&token=…`, and with `#token=…`
`confirm-email`, `change-email`, `cancel-email-change` and `unsubscribe`. What an address carries is in its query or,
where it is worth something, in its fragment, which no browser sends to a server.
"""

from typing import Final

from django.urls import path

from . import views

app_name = "shop"

VIEWS: Final = (
    "account",
    "buy",
    "cancel-email-change",
    "change-email",
    "confirm-email",
    "forgot-password",
    "payment",
    "purchase",
    "purchases",
    "redeem",
    "redemptions",
    "reset-password",
    "sign-in",
    "sign-up",
    "unsubscribe",
    "voucher",
    "vouchers",
)

urlpatterns = [
    path("", views.page, name="shop-home"),
    path("favicon.ico", views.favicon, name="shop-favicon"),
    *(path(name, views.page, name=f"shop-{name}") for name in VIEWS),
]
