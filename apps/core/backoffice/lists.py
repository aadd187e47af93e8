"""Lists of the admin that cost the same however long their table is.

A list pages through the first MAX_LISTED of its rows and counts no more of them: filters and the search lead to the
others. It is ordered by an index, and by nothing else where the table grows.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, Final

from django.contrib.admin.views.main import ORDER_VAR
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from apps.core.backoffice.counting import shown_number
from apps.core.backoffice.filters import DayRangeFilter
from apps.core.money import format_amount

MAX_LISTED: Final = 1000


def totals_by_currency(rows: Iterable[tuple[str, Decimal]]) -> str:
    """What (currency, amount) pairs come to, for people, one sum a currency; empty if that is nothing."""
    sums: dict[str, Decimal] = {}
    for currency, amount in rows:
        sums[currency] = sums.get(currency, Decimal(0)) + amount
    return ", ".join(format_amount(amount, currency) for currency, amount in sorted(sums.items()) if amount)


class BoundedPaginator(Paginator):
    """The pages of the first MAX_LISTED rows. A page beyond the last is the last."""

    template_name = "core/pagination.html"

    @cached_property
    def rows_counted(self) -> int:
        """One more than MAX_LISTED where there are more. In the order of the list, whose index the count walks too."""
        rows: Any = self.object_list
        return int(rows[: MAX_LISTED + 1].count())

    @property
    def count(self) -> int:
        return min(self.rows_counted, MAX_LISTED)

    def validate_number(self, number: Any) -> int:
        return super().validate_number(min(int(number), self.num_pages))


class BoundedChangeList(ChangeList):
    """The rows of one page, how many there are of at most MAX_LISTED, and the sums of money of all of these."""

    paginator: BoundedPaginator
    result_list: Any

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        if self.sortable_by is not None and not self.sortable_by:
            self.params.pop(ORDER_VAR, None)  # the page offers none, and any other would sort the whole table
        return super().get_ordering(request, queryset)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page or (self.show_all and self.can_show_all):
            # Django asks for all rows then. With a bound the database does not prepare for a whole table.
            self.result_list = self.result_list[: max(self.list_max_show_all, self.list_per_page)]
        self.model_admin.prepare_rows(request, list(self.result_list))

    @property
    def shown_count(self) -> str:
        return shown_number(self.paginator.rows_counted, MAX_LISTED)

    @property
    def has_more(self) -> bool:
        """Whether there are rows beyond the last page."""
        return self.paginator.rows_counted > MAX_LISTED

    @cached_property
    def totals(self) -> list[tuple[str, str]]:
        """What sums of money are called, and what they come to; none of a list with more rows than are counted."""
        fields = self.model_admin.total_fields
        if not fields or self.has_more or not self.paginator.rows_counted:
            return []
        rows = list(self.queryset.values_list(*fields)[:MAX_LISTED])
        return [(label, text) for label, text in self.model_admin.totals(rows) if text]


class BoundedAdmin(ModelAdmin):
    """A list that is bounded, and that nobody sorts otherwise unless `sortable_by` names columns, or is None for all.

    `total_fields` names what `totals` needs of each row.
    """

    paginator: ClassVar[Any] = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    sortable_by: Any = ()
    total_fields: ClassVar[tuple[str, ...]] = ()

    @property
    def list_filter_submit(self) -> bool:
        """Whether the filters stand in a form, which those with fields need; the others are links."""
        return any(isinstance(spec, tuple) and spec[1] is DayRangeFilter for spec in self.list_filter)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return BoundedChangeList

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """Note at the rows of a page what its columns say of them, read for all of them at once."""

    def totals(self, rows: list[Any]) -> list[tuple[str, str]]:
        """The sums of money of the rows of a list, each a tuple of `total_fields`: what it is called, and the sum."""
        return []
