"""Paging of lists."""

from typing import Final

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from rest_framework.pagination import PageNumberPagination


class DeferredJoinPaginator(Paginator):
    """Pages of a queryset of any length, whose order names each row's place.

    Of a long one it skips to the page over ids alone, which an index gives without a row being read, from
    whichever end is nearer; then it reads the rows of the page by their ids.
    """

    LONG: Final = 200

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
        return self._get_page(rows.filter(pk__in=list(page_ids)), number, self)  # type: ignore[attr-defined, no-any-return]


class StandardPagination(PageNumberPagination):
    """`{"count", "next", "previous", "results"}` by `page` and `page_size` (20, at most 100)."""

    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100
    django_paginator_class = DeferredJoinPaginator
