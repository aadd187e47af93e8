"""What the page of a row shows beside its fields: where its history stands, and what other tables have of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from unfold.admin import ModelAdmin

from apps.core.backoffice.addresses import list_address, page_address, row_address, view_permission
from apps.core.backoffice.counting import bounded_counts, shown_number
from apps.core.backoffice.lists import MAX_LISTED

LATEST: Final = 10  # rows that a page shows of another table


@dataclass(frozen=True)
class Part:
    """The latest rows of another table that belong to the row of a page, for whoever may view that table.

    `rows` gives them, newest first and with what `columns` need; a column is its header and what it says of a row, the
    first a link to its page. `parameter` narrows the list of the table to them, by the number of the page's row.
    """

    title: str
    model: type[Model]
    rows: Callable[[Any], QuerySet[Any]]
    columns: tuple[tuple[str, Callable[[Any], Any]], ...]
    parameter: str

    @property
    def permission(self) -> str:
        return view_permission(self.model)

    def address(self, row: Model) -> str:
        """The list of all of them."""
        return f"{list_address(self.model)}?{self.parameter}={row.pk}"


def page_cache(request: HttpRequest, name: str) -> dict[Any, Any]:
    """What was read under this name for a page that is only shown, so that it is read once.

    For a request that writes it is always empty.
    """
    cache: dict[Any, Any] = {}
    if request.method == "GET":
        cache = request.__dict__.setdefault(name, cache)
    return cache


def parts_of(request: HttpRequest, row: Any, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The parts that the user may see, for the template: a query for each, and one for all counts."""
    shown = [part for part in parts if request.user.has_perm(part.permission)]
    counts = bounded_counts({part.title: (part.rows(row), MAX_LISTED) for part in shown})
    return [
        {
            "title": part.title,
            "count": shown_number(counts[part.title], MAX_LISTED),
            "has_more": counts[part.title] > LATEST,
            "address": part.address(row),
            "headers": [header for header, _ in part.columns],
            "rows": [
                (row_address(each), [text(each) for _, text in part.columns])
                for each in (part.rows(row)[:LATEST] if counts[part.title] else ())
            ],
        }
        for part in shown
    ]


class PageAdmin(ModelAdmin):
    """The page of a row, with parts of other tables, and a button that leads to its history, where there is one."""

    parts: ClassVar[tuple[Part, ...]] = ()
    keeps_log = False  # whether staff do anything to these rows that Django's log has and no history of ours
    change_form_outer_after_template = "core/parts_place.html"

    def history_address(self, request: HttpRequest, row: Any) -> str | None:
        """Where the history of a row stands; None if nowhere."""
        if not self.keeps_log:
            return None
        return page_address(row, "history", row.pk)

    def get_urls(self) -> list[Any]:
        urls: list[Any] = super().get_urls()
        if not self.parts:
            return urls
        name = f"{self.opts.app_label}_{self.opts.model_name}_parts"
        view = self.admin_site.admin_view(self.parts_view)
        return [path("<path:object_id>/parts/", view, name=name), *urls]

    def parts_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The parts of a page, which it fetches: with the form they would be many queries for one request."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404
        return TemplateResponse(request, "core/parts.html", {"parts": parts_of(request, row, self.parts)})

    def render_change_form(
        self, request: Any, context: Any, *args: Any, obj: Any = None, **options: Any
    ) -> Any:
        if obj is not None:
            context["history_address"] = self.history_address(request, obj)
            context["parts_address"] = page_address(obj, "parts", obj.pk) if self.parts else None
        return super().render_change_form(request, context, *args, obj=obj, **options)
