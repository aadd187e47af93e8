"""The page that asks for a fresh proof in the middle of something, and then goes on with it.

For how long a proof is fresh stands in second_factor/fresh_proof.py.
"""

from typing import Final

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from apps.authentication.second_factor import factors, fresh_proof, passkeys
from apps.users.current_user import current_user

from .forms import CodeForm

# The page's own fields beside those of the form that it carries.
CODE: Final = "second_factor_code"
METHOD: Final = "second_factor_method"
LABEL, HELP = "Code", "The six digits that your authenticator app shows now, or one of your recovery codes."


def ask(request: HttpRequest) -> HttpResponse | None:
    """The page that asks for a fresh proof, or where it leads; None where the request goes on.

    The page is sent at the address of the request and posts back there, with all fields of a form that was posted in
    hidden ones. So a POST is as it was once the code is right. A GET comes back as a POST with the code, and is led on
    to a GET.
    """
    return prove(request) if settings.STAFF_SECOND_FACTOR else None


def prove(request: HttpRequest) -> HttpResponse | None:
    """The same, also where staff need no second factor: for changes of what somebody has as one."""
    user = current_user(request)
    form = CodeForm(request.POST if CODE in request.POST else None, label=LABEL, help_text=HELP, name=CODE)
    if not fresh_proof.is_fresh(request, user) and not verify_code(request, form):
        return _page(request, form)
    if request.POST.get(METHOD) == "GET":
        return HttpResponseRedirect(request.get_full_path())
    return None


def verify_code(request: HttpRequest, form: CodeForm) -> bool:
    """Whether the form was sent with a code of the user's second factor, which the session notes then."""

    def check() -> None:
        factor = factors.check_code(user=current_user(request), code=form.cleaned_data["code"])
        fresh_proof.note_passed(request, factor)

    return form.is_valid() and form.attempt(request, check)


def _page(request: HttpRequest, form: CodeForm) -> HttpResponse:
    method = request.POST.get(METHOD) or request.method
    carried = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in (CODE, METHOD, "csrfmiddlewaretoken")
        for value in values
    ]
    context = {
        **admin.site.each_context(request),
        "title": "Confirm that it is you",
        "form": form,
        "method_field": METHOD,
        "method": "POST" if method == "POST" else "GET",
        "carried": carried,
        "may_use_passkey": passkeys.may_prove(request, current_user(request)),
    }
    return TemplateResponse(request, "authentication/second_factor/fresh_proof.html", context)
