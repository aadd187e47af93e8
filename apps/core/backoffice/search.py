"""The one search of the admin: what a person has in front of them, a code or a number or a name, leads to its page.

Each app registers a finder for what it knows. The text is posted, so that a code that somebody pastes stands in no
address and no history, and the page does not show it again.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from apps.core.backoffice.addresses import row_address
from apps.core.logs import redact

log = logging.getLogger(__name__)

LONGEST_TEXT: Final = 500
MOST_HITS: Final = 20  # of each kind


@dataclass(frozen=True)
class Hit:
    """A row that may be what was looked for; `detail` tells it from others. `is_certain`: the text names no other."""

    row: Model
    title: str
    detail: str = ""
    is_certain: bool = False

    @property
    def address(self) -> str:
        """Its page in the admin."""
        return row_address(self.row)


@dataclass(frozen=True)
class Finder:
    """Looks for rows of one kind. `find` gets the text without blanks around it, and gives the rows that it may mean,
    or a sentence that says why it means none. Who lacks the permission ("app.codename") is not answered by it. One that
    `reads_all` rows of a long table comes after the others, and not where these are certain."""

    title: str
    icon: str
    permission: str
    find: Callable[[str], Iterable[Hit] | str]
    reads_all: bool = False


_finders: list[Finder] = []


def register(*finders: Finder) -> None:
    """Add what the search looks for, from the `ready` of an AppConfig."""
    _finders.extend(finders)


@require_http_methods(["GET", "POST"])
def search(request: HttpRequest) -> HttpResponse:
    """The page of the search; where there is one hit and no doubt, a redirect to it."""
    if not admin.site.has_permission(request):
        raise PermissionDenied
    text = request.POST.get("q", "").strip()
    groups: list[tuple[Finder, list[Hit]]] = []
    notes: list[str] = []
    if text and len(text) <= LONGEST_TEXT and "\0" not in text:
        for finder in sorted(_finders, key=lambda finder: finder.reads_all):
            if request.user.has_perm(finder.permission):
                answer = _answer(finder, text)
                if isinstance(answer, str):
                    notes.append(answer)
                elif answer:
                    groups.append((finder, answer))
                    if any(hit.is_certain for hit in answer):
                        break
    all_hits = [hit for _, hits in groups for hit in hits]
    if len(all_hits) == 1 and (all_hits[0].is_certain or not notes):
        return HttpResponseRedirect(all_hits[0].address)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Search",
        "text": redact(text[:LONGEST_TEXT]),
        "groups": [(finder, hits[:MOST_HITS], len(hits) > MOST_HITS) for finder, hits in groups],
        "notes": notes,
        "kinds": [finder.title for finder in _finders if request.user.has_perm(finder.permission)],
    }
    return TemplateResponse(request, "core/search.html", context)


def _answer(finder: Finder, text: str) -> list[Hit] | str:
    """What a finder says; where its query took too long for the database, that it did, so that the others count."""
    try:
        answer = finder.find(text)
        return answer if isinstance(answer, str) else list(answer)
    except OperationalError as error:
        log.warning("The search of %s was given up (%s)", finder.title, type(error.__cause__).__name__)
        return f"{finder.title} could not be searched in time: look at the list, or say more."
