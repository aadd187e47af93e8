"""The admin's pages of the second factor: to pass it, to set it up, and to look after what one has."""

from typing import Any, Final
from urllib.parse import urlencode

import segno
from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_http_methods

from apps.authentication.rate_limits import enrolment_mails
from apps.authentication.second_factor import admin_session, enrolment, factors, fresh_proof, passkeys
from apps.core.errors import DomainError
from apps.core.rate_limits import hit
from apps.users.current_user import current_user

from . import fresh_proof_page
from .forms import CodeForm

ANY_METHOD: Final = require_http_methods(["GET", "HEAD", "POST"])


def next_address(request: HttpRequest) -> str:
    """Where in the admin the person was going; its front page if nowhere."""
    address = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
    front_page = reverse("admin:index")
    is_ours = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if is_ours and address.startswith(front_page) else front_page


@ANY_METHOD
def verification(request: HttpRequest) -> HttpResponse:
    """After the password: asks for a code or the passkey, and leads on. Who has no factor yet sets one up."""
    user = current_user(request)
    if not factors.has_factor(user):
        return redirect(_with_next("second-factor-enrolment", request))
    if request.method != "POST" and admin_session.is_passed(request, user):
        return HttpResponseRedirect(next_address(request))
    form = CodeForm(_form_data(request), label=fresh_proof_page.LABEL, help_text=fresh_proof_page.HELP)
    if fresh_proof_page.verify_code(request, form):
        return HttpResponseRedirect(next_address(request))
    return _page(
        request,
        "verification",
        "Second factor",
        form=form,
        may_use_passkey=passkeys.may_prove(request, user),
    )


@ANY_METHOD
def enrolment_page(request: HttpRequest) -> HttpResponse:
    """Adds a factor: the first one after a code by mail, others for who has just proved one."""
    user = current_user(request)
    if factors.has_factor(user):
        if not admin_session.is_passed(request, user):
            return redirect(_with_next("second-factor", request))
        if not fresh_proof.is_fresh(request, user):
            return fresh_proof_page.prove(request) or redirect("second-factor-enrolment")
    if not enrolment.is_open(request, user):
        return _mailed_code(request)
    is_first = not factors.has_factor(user)
    key = enrolment.key_for_app(request)
    form = CodeForm(_form_data(request), label="Code", help_text="The six digits that the app shows now.")
    if form.is_valid():

        def add() -> None:
            app = factors.add_app(user=user, key=key, code=form.cleaned_data["code"])
            after_adding(request, app, is_first=is_first)

        if form.attempt(request, add):
            return HttpResponseRedirect(address_after_adding(request, is_first=is_first))
    app = factors.unsaved_app(user, key)
    secret = app.config_url.partition("secret=")[2].partition("&")[0]
    return _page(
        request,
        "enrolment",
        "Set up your second factor" if is_first else "Add a second factor",
        form=form,
        is_first=is_first,
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        qr_code=mark_safe(  # noqa: S308 - drawn here, of numbers
            segno.make(app.config_url, micro=False).svg_inline(scale=4, border=2, light="#fff", omitsize=True)
        ),
        may_use_passkey=passkeys.are_possible(request),
    )


def _mailed_code(request: HttpRequest) -> HttpResponse:
    """Before the first factor: mails a code when the person wants one, and takes it."""
    user = current_user(request)
    wants_mail = "send" in request.POST
    form = CodeForm(None if wants_mail else _form_data(request), label="Code from the mail")

    def send() -> None:
        hit(*enrolment_mails(user))
        enrolment.mail_code(request, user)

    if wants_mail:
        if form.attempt(request, send, limited=False):
            messages.success(request, "The mail is on its way.")
            return redirect(_with_next("second-factor-enrolment", request))
    elif form.is_valid() and form.attempt(
        request, lambda: enrolment.open_by_code(request, form.cleaned_data["code"])
    ):
        return redirect(_with_next("second-factor-enrolment", request))
    return _page(
        request,
        "mailed_code",
        "Set up your second factor",
        form=form,
        is_mailed=enrolment.is_code_mailed(request),
    )


def after_adding(request: HttpRequest, factor: Any, *, is_first: bool) -> None:
    """Close the page, and let who added their first factor into the admin: it was proved by adding it."""
    enrolment.close(request)
    if is_first:
        fresh_proof.note_passed(request, factor)


def address_after_adding(request: HttpRequest, *, is_first: bool) -> str:
    """Where it goes on: after the first factor with recovery codes."""
    if is_first:
        return _with_next("second-factor-recovery-codes", request)
    return reverse("second-factor-factors")


@ANY_METHOD
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Makes new recovery codes, and shows them this once."""
    user = current_user(request)
    codes: list[str] = []
    if request.method == "POST":
        if factors.has_factor(user) and (page := fresh_proof_page.prove(request)) is not None:
            return page
        try:
            codes = factors.make_recovery_codes(user=user)
        except DomainError as error:
            messages.error(request, error.detail)
    return _page(
        request,
        "recovery_codes",
        "Recovery codes",
        codes=codes,
        left=factors.recovery_codes_left(user),
    )


@ANY_METHOD
def own_factors(request: HttpRequest) -> HttpResponse:
    """What one has as a second factor, and the buttons to add and remove."""
    user = current_user(request)
    if request.method == "POST":
        if factors.has_factor(user) and (page := fresh_proof_page.prove(request)) is not None:
            return page
        if factors.remove_factor(user=user, key=request.POST.get("remove", "")):
            messages.success(request, "Removed.")
        return redirect("second-factor-factors")
    return _page(
        request,
        "factors",
        "Second factor",
        factors=factors.factors_of(user),
        left=factors.recovery_codes_left(user),
    )


def _form_data(request: HttpRequest) -> Any:
    return request.POST if request.method == "POST" else None


def _with_next(name: str, request: HttpRequest) -> str:
    """The address of a page, with where the person was going."""
    address = next_address(request)
    if address == reverse("admin:index"):
        return reverse(name)
    return f"{reverse(name)}?{urlencode({REDIRECT_FIELD_NAME: address})}"


def _page(request: HttpRequest, template: str, title: str, **own: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": title, "next": next_address(request), **own}
    return TemplateResponse(request, f"authentication/second_factor/{template}.html", context)
