from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, path

from . import pages, passkey_views


def _for_staff(address: str, view: Callable[..., Any], name: str) -> URLPattern:
    return path(address, admin.site.admin_view(view), name=name)


urlpatterns = [
    _for_staff("", pages.verification, "second-factor"),
    _for_staff("set-up/", pages.enrolment_page, "second-factor-enrolment"),
    _for_staff("factors/", pages.own_factors, "second-factor-factors"),
    _for_staff("recovery-codes/", pages.recovery_codes, "second-factor-recovery-codes"),
    _for_staff("passkey/add/begin/", passkey_views.begin_adding, "second-factor-passkey-adding"),
    _for_staff("passkey/add/", passkey_views.add, "second-factor-passkey-added"),
    _for_staff("passkey/prove/begin/", passkey_views.begin_proving, "second-factor-passkey-proving"),
    _for_staff("passkey/prove/", passkey_views.prove, "second-factor-passkey-proved"),
]
