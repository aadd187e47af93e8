"""Paging of lists."""

from collections.abc import Sequence
from typing import Any, Final

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.views import APIView


class DeferredJoinPaginator(Paginator):
    """Pages of a queryset of any length, whose order names each row's place.

    Of a long one it skips to the page over ids alone, which an index gives without a row being read, from
    whichever end is nearer; then it reads the rows of the page by their ids. With `columns` (as for `values_list`)
    the rows are tuples of these; neither counting nor skipping reads them.
    """

    LONG: Final = 200

    def __init__(self, *arguments: Any, columns: Sequence[Any] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.columns = columns

    def page(self, number: int | str) -> Page:
        rows = self.object_list
        if not isinstance(rows, QuerySet) or self.count <= self.LONG:
            return super().page(number)
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        end = min(start + self.per_page, self.count)
        ids = rows.values_list("pk", flat=True)
        from_the_end = ids.reverse()[self.count - end : self.count - start]
        page_ids = from_the_end if start > self.count / 2 else ids[start:end]
        return self._get_page(rows.filter(pk__in=list(page_ids)), number, self)

    def _get_page(self, rows: Any, *arguments: Any, **options: Any) -> Page:
        if self.columns:
            rows = rows.values_list(*self.columns)
        return super()._get_page(rows, *arguments, **options)  # type: ignore[misc, no-any-return]


class StandardPagination(PageNumberPagination):
    """`{"count", "next", "previous", "results"}` by `page` and `page_size` (20, at most 100).

    Of a view with `columns` (as for `values_list`) the rows are tuples of these.
    """

    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100
    page_query_description = "Which page; the first is 1."
    page_size_query_description = f"How many on a page: {page_size} unless said, at most {max_page_size}."
    columns: Sequence[Any] = ()

    def django_paginator_class(self, rows: Any, size: int) -> DeferredJoinPaginator:  # type: ignore[override]
        return DeferredJoinPaginator(rows, size, columns=self.columns)

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.columns = getattr(view, "columns", ())
        return super().paginate_queryset(queryset, request, view) or []

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What `document` returns, for the OpenAPI document; `schema` is that of the results."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["count", "next", "previous", "results"],
            "properties": {
                "count": {"type": "integer", "description": "Of the whole list."},
                "next": {**link, "description": "Where the next page is; null on the last one."},
                "previous": {**link, "description": "Where the previous page is; null on the first one."},
                "results": schema,
            },
        }

    def set_page(self, request: Request, *, number: int, size: int, count: int) -> None:
        """Note which page `document` is about, of a list of `count` rows that was read otherwise."""
        self.request = request
        paginator = DeferredJoinPaginator((), size)
        paginator.count = count
        self.page = Page([], number, paginator)

    def document(self, results: list[Any]) -> dict[str, Any]:
        """The answer with these results on its page."""
        assert self.page is not None
        return {
            "count": self.page.paginator.count,
            "next": self.get_next_link(),
            "previous": self.get_previous_link(),
            "results": results,
        }
