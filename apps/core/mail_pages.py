"""The pages /mail/: what would have been sent, to read while developing. They show links and codes, as the mails do.

They are there only with DEBUG on, where no mail really goes out, and only to this machine, not to whom a proxy or a
tunnel on it lets in; elsewhere they are a 404 as any unknown address.
"""

from base64 import b64encode
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe
from post_office.models import Email

from apps.core.mail import Attachment, attachments_of, content_id, pictures_of

# What proxies and tunnels say of whom they call for: then the connection from this machine is not the developer's.
FORWARDED: Final = frozenset({"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED"})
BACKEND: Final = "apps.core.mail.page_backend.EmailBackend"
NEWEST: Final = 100  # mails on the list

View = Callable[..., HttpResponse]


def is_shown_to(request: HttpRequest) -> bool:
    """Whether the pages are there for who sent the request."""
    is_local = (
        request.META.get("REMOTE_ADDR") in settings.INTERNAL_IPS and not FORWARDED & request.META.keys()
    )
    return bool(settings.DEBUG and settings.EMAIL_BACKEND == BACKEND and is_local)


def development_page(view: View) -> View:
    """A page for reading, never kept by a browser, that is there for the developer alone."""

    readable = require_safe(view)

    @wraps(view)
    def guarded(request: HttpRequest, **arguments: Any) -> HttpResponse:
        if not is_shown_to(request):
            raise Http404("No such page.")
        response: HttpResponse = readable(request, **arguments)
        response["Cache-Control"] = "no-store"
        return response

    return guarded


@development_page
def mail_list(request: HttpRequest) -> HttpResponse:
    """The newest mails; with `?to=` those to one address."""
    emails = Email.objects.exclude(to="").order_by("-id")
    if address := request.GET.get("to", ""):
        emails = emails.filter(to=address)
    return render(request, "core/mail_list.html", {"emails": emails[:NEWEST], "to": address})


@development_page
def mail_message(request: HttpRequest, number: int) -> HttpResponse:
    """One mail: what its reader sees, its plain text, its headers, and what goes with it."""
    email = _email(number)
    attachments, problem = _attachments_of(email)
    context = {
        "email": email,
        "html": _with_pictures(email),
        "headers": sorted((email.headers or {}).items()),
        "attachments": attachments,
        "attachment_problem": problem,
        "failures": email.logs.order_by("-id")[:1],
        "sender": settings.DEFAULT_FROM_EMAIL,
    }
    return render(request, "core/mail_message.html", context)


@development_page
def mail_attachment(request: HttpRequest, number: int, place: int) -> HttpResponse:
    """A file that goes with a mail, by its place from 1, made as when it is sent."""
    attachments, _ = _attachments_of(_email(number))
    if not 0 < place <= len(attachments):
        raise Http404("No such file goes with this mail.")
    attachment = attachments[place - 1]
    name = attachment.name.replace('"', "")
    return HttpResponse(
        attachment.content,
        content_type=attachment.media_type,
        headers={"Content-Disposition": f'inline; filename="{name}"'},
    )


def _email(number: int) -> Email:
    if number >= 2**63:  # what no row can have, and SQLite could not even be asked for
        raise Http404("No such mail.")
    return get_object_or_404(Email.objects.exclude(to=""), pk=number)


def _attachments_of(email: Email) -> tuple[list[Attachment], str]:
    """The attachments, and why they could not be made."""
    try:
        return attachments_of(email), ""
    except Exception as error:  # noqa: BLE001 - the page shows what would keep the mail from being sent
        return [], f"{type(error).__name__}: {error}"


def _with_pictures(email: Email) -> str:
    """The HTML of a mail as its reader sees it: a browser knows no Content-ID, so each picture stands in its place."""
    html: str = email.html_message
    for picture in pictures_of(email):
        data = b64encode(picture.content).decode()
        html = html.replace(f'"cid:{content_id(picture.name)}"', f'"data:image/png;base64,{data}"')
    return html
