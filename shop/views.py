"""The one page of the shop. All else it gets from the public API, as any client does."""

from collections.abc import Callable
from functools import wraps
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

STRIPE: Final = "https://api.stripe.com"
MAIL_PAGE: Final = "apps.core.mail.page_backend.EmailBackend"
STRIPE_JS: Final = "https://js.stripe.com"

# Styles and scripts come from files alone. `img-src` has the pictures that a person chose but has not sent yet (blob:).
POLICY: Final = (
    "default-src 'none'; script-src 'self'{script}; style-src 'self'; img-src 'self' data: blob:{media}; "
    "font-src 'self'; connect-src 'self' {connect}; frame-src {frame}; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


View = Callable[[HttpRequest], HttpResponse]


def shop_view(view: View) -> View:
    """A view for reading. Where the shop is off (REFERENCE_SHOP) its address is unknown, whatever the method."""
    readable = require_safe(view)

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not settings.REFERENCE_SHOP:
            raise Http404("The reference shop is off.")
        return readable(request)

    return guarded


@shop_view
def page(request: HttpRequest) -> HttpResponse:
    """The shop's page, with where to pay."""
    local_stripe = local_stripe_origin()
    in_development = settings.DEBUG and settings.EMAIL_BACKEND == MAIL_PAGE
    mail_page = reverse("mail-list") if in_development else ""  # where all mail goes
    context = {"shop_name": settings.SHOP_NAME, "local_stripe": local_stripe, "mail_page": mail_page}
    response = render(request, "shop/page.html", context)
    response["Content-Security-Policy"] = policy(local_stripe)
    # Never compared with what a browser has: a 304 would come with the policy of any address, which lets nothing load.
    response["Cache-Control"] = "no-store"
    return response


@shop_view
def favicon(request: HttpRequest) -> HttpResponse:
    """The shop's icon for whatever has none of its own: browsers ask for it here, also beside JSON and the admin."""
    return redirect(static("shop/icon.svg"))


def local_stripe_origin() -> str:
    """The origin of the stand-in for Stripe whose card form the shop shows; empty where Stripe.js is to be used.

    The form takes card numbers into the page, so it is never shown with a live key.
    """
    if settings.STRIPE_API_BASE.rstrip("/") == STRIPE:
        return ""
    if not settings.STRIPE_PUBLISHABLE_KEY.startswith("pk_test_"):
        return ""
    address = urlsplit(settings.STRIPE_API_BASE)
    return f"{address.scheme}://{address.netloc}"


def policy(local_stripe: str) -> str:
    """The Content-Security-Policy of the page: this site and the local Stripe, or what Stripe.js needs in its place."""
    media = (
        f" {settings.MEDIA_ORIGIN}" if settings.MEDIA_ORIGIN else ""
    )  # a bucket, where pictures are sent on to
    if local_stripe:
        return POLICY.format(script="", connect=local_stripe, frame=local_stripe, media=media)
    frame = f"{STRIPE_JS} https://*.js.stripe.com https://hooks.stripe.com"
    script = f" {STRIPE_JS} https://*.js.stripe.com"
    return POLICY.format(script=script, connect=STRIPE, frame=frame, media=media)
