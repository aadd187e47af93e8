"""Lists that are read at every request: their rows become JSON without model instances, forms or serializers."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, Final, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.views import APIView

from .pagination import DeferredJoinPaginator, StandardPagination
from .responses import document_response

ListedModel = TypeVar("ListedModel", bound=Model)
Row = tuple[Any, ...]

PLAIN_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@cache
def _filters(filter_set: type[filters.FilterSet]) -> dict[str, filters.Filter]:
    """The filters of a FilterSet, with their form fields, made once: neither keeps anything of a request."""
    members: dict[str, filters.Filter] = filter_set(queryset=filter_set._meta.model.objects.none()).filters
    return members


class ReusedFiltersBackend(filters.DjangoFilterBackend):
    """Filters as django-filter does, without a form for each request. Refusals are left to its form."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """The queryset narrowed by what the query names. Raises REST framework's ValidationError as the form does."""
        query = request.query_params
        named = [
            (name, each) for name, each in _filters(self.get_filterset_class(view)).items() if name in query
        ]
        try:
            values = [(each, each.field.clean(query[name])) for name, each in named]
        except ValidationError:
            refused: QuerySet[Any] = super().filter_queryset(request, queryset, view)
            return refused
        for each, value in values:
            queryset = each.filter(queryset, value)
        return queryset


class RowListView(GenericAPIView[ListedModel]):
    """A paged list of rows, newest first.

    A subclass says which `columns` the documents need (as for `values_list`), and how they are made of them. The
    beginning of the list without filters, which is what clients ask for most, it reads with a PreparedQuery, page and
    count in one. `serializer_class` describes the documents in the OpenAPI document.
    """

    pagination_class = StandardPagination
    filter_backends = (ReusedFiltersBackend,)
    filterset_class: type[filters.FilterSet]
    columns: ClassVar[Sequence[Any]]

    def first_rows(self, *, limit: int, offset: int) -> Sequence[Row]:
        """Rows of the whole list: `columns`, and after them how many rows the whole list has."""
        raise NotImplementedError

    def documents(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """What the API shows of rows of `columns`."""
        raise NotImplementedError

    def list_response(self, request: Request) -> HttpResponse:
        """The page that the query names. Raises REST framework's NotFound and ValidationError for a bad query."""
        pages = StandardPagination()
        rows = self._first_rows(request, pages)
        if rows is None:
            queryset: QuerySet[Any] = self.get_queryset()
            rows = pages.paginate_queryset(self.filter_queryset(queryset), request, view=self)
        return document_response(request, pages.document(self.documents(rows)))

    def _first_rows(self, request: Request, pages: StandardPagination) -> Sequence[Row] | None:
        """The rows of a page near the beginning of the list without filters; None for any other page.

        What is not a page at all is among the others: paging words the refusal.
        """
        query = request.query_params
        if any(name in query for name in self.filterset_class.base_filters):
            return None
        number, size = query.get("page", "1"), query.get("page_size", str(pages.page_size))
        if not (PLAIN_NUMBER.fullmatch(number) and PLAIN_NUMBER.fullmatch(size)):
            return None
        page, limit = int(number), min(int(size), pages.max_page_size)
        if page * limit > DeferredJoinPaginator.LONG:
            return None
        rows = self.first_rows(limit=limit, offset=(page - 1) * limit)
        if not rows and page > 1:
            return None
        pages.set_page(request, number=page, size=limit, count=rows[0][-1] if rows else 0)
        return [row[:-1] for row in rows]
