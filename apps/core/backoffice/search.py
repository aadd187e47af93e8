"""The one search of the admin: what a person has in front of them, a code or a number or a name, leads to its page.

Each app registers a finder for what it knows. The text is posted, so that a code that somebody pastes stands in no
address and no history, and the page does not show it again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.core.logs import redact

LONGEST_TEXT: Final = 500
MOST_HITS: Final = 20  # of each kind


@dataclass(frozen=True)
class Hit:
    """A row that may be what was looked for; `detail` tells it from others."""

    row: Model
    title: str
    detail: str = ""

    @property
    def address(self) -> str:
        """Its page in the admin."""
        opts = self.row._meta
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=(self.row.pk,))


@dataclass(frozen=True)
class Finder:
    """Looks for rows of one kind. `find` gets the text without blanks around it, and gives the rows that it may mean,
    or a sentence that says why it means none. Who lacks the permission ("app.codename") is not answered by it."""

    title: str
    icon: str
    permission: str
    find: Callable[[str], Iterable[Hit] | str]


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
        for finder in _finders:
            if request.user.has_perm(finder.permission):
                answer = finder.find(text)
                if isinstance(answer, str):
                    notes.append(answer)
                elif hits := list(answer):
                    groups.append((finder, hits))
    if len(groups) == 1 and len(groups[0][1]) == 1:
        return HttpResponseRedirect(groups[0][1][0].address)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Search",
        "text": redact(text[:LONGEST_TEXT]),
        "groups": [(finder, hits[:MOST_HITS], len(hits) > MOST_HITS) for finder, hits in groups],
        "notes": notes,
        "kinds": [finder.title for finder in _finders if request.user.has_perm(finder.permission)],
    }
    return TemplateResponse(request, "core/search.html", context)
