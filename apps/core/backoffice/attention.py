"""What needs a person: each app registers its lists, and the front page, the side bar and the lists' filter show them.

An item is a queryset of rows of one model. Its link leads to the list of that model, filtered by the very queryset that
was counted, so that the number and the list always agree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from django.db import models
from django.http import HttpRequest
from django.utils import timezone

from apps.core.prepared_queries import PreparedQuery

from .addresses import list_address, view_permission
from .counting import numbers_of
from .counting import shown_number as number_up_to
from .filters import ChoiceFilter

PARAMETER: Final = "attention"  # of a list's address
MAX_COUNTED: Final = 1000  # so many rows are counted of an item: beyond, "1000+" says it all


@dataclass(frozen=True)
class AttentionItem:
    """Rows of a model that a person must look at.

    `name` stands in addresses. `rows` gets the time, or where rows are counted a Parameter in its place: it compares
    this as it is or moved by a timedelta, and looks at no clock itself. `note` says more in a few words (when the first
    is due, say) and is read only where there are rows. `urgent` ones stand first, in red. One that only `informs` asks
    nobody to do anything: it stands last, without a badge in the side bar, and is counted on the front page alone, up
    to `most_counted` rows. `ordering` is that of its list, where another than the list's is more to the point. Of one
    that `merges`, the list takes over the conditions, and so an index for its ordering; they must be plain ones.
    """

    name: str
    label: str
    model: type[models.Model]
    rows: Callable[[datetime], models.QuerySet[Any]]
    note: Callable[[datetime], str] | None = None
    urgent: bool = False
    informs: bool = False
    most_counted: int | None = None
    ordering: tuple[str, ...] = ()
    merges: bool = False

    @property
    def bound(self) -> int:
        """How many rows are counted at the most."""
        return self.most_counted or MAX_COUNTED

    @cached_property
    def ids(self) -> PreparedQuery[Any]:
        """The ids of the rows at the moment `now`. Every page of the admin counts them, so it is compiled once."""
        return PreparedQuery(
            lambda pk: pk,
            lambda now: self.rows(now).order_by().values_list("pk"),
            now=models.DateTimeField(),
        )

    @property
    def permission(self) -> str:
        """Who may see the rows may see how many there are."""
        return view_permission(self.model)

    @property
    def address(self) -> str:
        """The list of its rows in the admin."""
        return f"{list_address(self.model)}?{PARAMETER}={self.name}"


@dataclass(frozen=True)
class Attention:
    """An item that has rows, as a page shows it."""

    item: AttentionItem
    number: int
    note: str

    @property
    def count(self) -> str:
        """The number, for people."""
        return number_up_to(self.number, self.item.bound)


_items: list[AttentionItem] = []


def register(*items: AttentionItem) -> None:
    """Add to what is looked after, from the `ready` of an AppConfig. Each name is used once."""
    for item in items:
        assert all(item.name != other.name for other in _items), f"{item.name} is registered already"
        _items.append(item)


def items_of(model: type[models.Model]) -> list[AttentionItem]:
    """What is registered for a model."""
    return [item for item in _items if item.model is model]


def numbers_for(request: HttpRequest) -> dict[str, int]:
    """How many rows each item has that the user may see and that needs somebody, by its name: one query a request."""
    return _numbers(request, [item for item in _items if not item.informs])


def attention_for(request: HttpRequest) -> list[Attention]:
    """The items with rows that the user may see: urgent ones first, those that only inform last."""
    now = timezone.now()
    numbers = _numbers(request, _items)
    shown = [item for item in _items if numbers.get(item.name)]
    return [
        Attention(item, numbers[item.name], item.note(now) if item.note else "")
        for item in sorted(shown, key=lambda item: (item.informs, not item.urgent))
    ]


def numbers(now: datetime) -> dict[str, int]:
    """How many rows each item has that needs somebody, up to its bound, by its name: one query."""
    return numbers_of(
        {item.name: item.ids.subselect(now=now, limit=item.bound) for item in _items if not item.informs}
    )


def shown_number(number: int) -> str:
    """A number of rows for people, as of more than MAX_COUNTED it is not known how many there are."""
    return number_up_to(number, MAX_COUNTED)


def ordering_of(request: HttpRequest, model: type[models.Model]) -> tuple[str, ...]:
    """The ordering of the item by which a list is filtered; empty if that has none."""
    shown = request.GET.get(PARAMETER)
    return next((item.ordering for item in items_of(model) if item.name == shown), ())


def _numbers(request: HttpRequest, items: list[AttentionItem]) -> dict[str, int]:
    """How many rows the items have that the user may see, up to a bound: no table is read because it is long.

    Each is counted once a request.
    """
    counted: dict[str, int] = request.__dict__.setdefault("_attention_numbers", {})
    now = timezone.now()
    seen = [item for item in items if request.user.has_perm(item.permission)]
    counted |= numbers_of(
        {
            item.name: item.ids.subselect(now=now, limit=item.bound + 1)
            for item in seen
            if item.name not in counted
        }
    )
    return {item.name: counted[item.name] for item in seen}


class AttentionFilter(ChoiceFilter):
    """For the lists of models that have items: only the rows of one item."""

    title = "needs a person"
    parameter_name = PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(item.name, item.label) for item in items_of(model_admin.model)]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        for item in items_of(queryset.model):
            if item.name == self.value():
                if item.merges:
                    return queryset & item.rows(timezone.now()).order_by()
                return queryset.filter(pk__in=item.rows(timezone.now()).order_by().values("pk"))
        return queryset
