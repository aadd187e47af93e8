"""What needs a person: each app registers its lists, and the front page, the side bar and the lists' filter show them.

An item is a queryset of rows of one model. Its link leads to the list of that model, filtered by the very queryset that
was counted, so that the number and the list always agree.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib import admin
from django.db import connection, models
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

PARAMETER: Final = "attention"  # of a list's address
MAX_COUNTED: Final = 1000  # so many rows are counted of an item: beyond, "1000+" says it all


@dataclass(frozen=True)
class AttentionItem:
    """Rows of a model that a person must look at.

    `name` stands in addresses; `rows` gets the time. `note` says more in a few words (when the first is due, say) and
    is read only where there are rows. `urgent` ones stand first, in red.
    """

    name: str
    label: str
    model: type[models.Model]
    rows: Callable[[datetime], models.QuerySet[Any]]
    note: Callable[[datetime], str] | None = None
    urgent: bool = False

    @property
    def permission(self) -> str:
        """Who may see the rows may see how many there are."""
        return f"{self.model._meta.app_label}.view_{self.model._meta.model_name}"

    @property
    def address(self) -> str:
        """The list of its rows in the admin."""
        opts = self.model._meta
        return f"{reverse(f'admin:{opts.app_label}_{opts.model_name}_changelist')}?{PARAMETER}={self.name}"


@dataclass(frozen=True)
class Attention:
    """An item that has rows, as a page shows it."""

    item: AttentionItem
    number: int
    note: str

    @property
    def count(self) -> str:
        """The number, for people."""
        return shown_number(self.number)


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
    """How many rows each item has that the user may see, by its name: one query a request."""
    numbers: dict[str, int] | None = getattr(request, "_attention_numbers", None)
    if numbers is None:
        numbers = _count([item for item in _items if request.user.has_perm(item.permission)], timezone.now())
        request._attention_numbers = numbers  # type: ignore[attr-defined]
    return numbers


def attention_for(request: HttpRequest) -> list[Attention]:
    """The items with rows that the user may see, urgent ones first."""
    now = timezone.now()
    numbers = numbers_for(request)
    shown = [item for item in _items if numbers.get(item.name)]
    return [
        Attention(item, numbers[item.name], item.note(now) if item.note else "")
        for item in sorted(shown, key=lambda item: not item.urgent)
    ]


def shown_number(number: int) -> str:
    """A number of rows for people, as of more than MAX_COUNTED it is not known how many there are."""
    return f"{MAX_COUNTED}+" if number > MAX_COUNTED else str(number)


def _count(items: Iterable[AttentionItem], now: datetime) -> dict[str, int]:
    """All counts in one statement, each up to a bound, so that none reads a whole table because it is long."""
    names, columns, parameters = [], [], []
    for item in items:
        rows = item.rows(now).order_by().values("pk")[: MAX_COUNTED + 1]
        text, values = rows.query.get_compiler(connection=connection).as_sql()
        names.append(item.name)
        columns.append(f"(SELECT COUNT(*) FROM ({text}) counted)")  # noqa: S608 - a text of Django's
        parameters.extend(values)
    if not columns:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", parameters)
        return dict(zip(names, cursor.fetchone(), strict=True))


class AttentionFilter(admin.SimpleListFilter):
    """For the lists of models that have items: only the rows of one item."""

    title = "needs a person"
    parameter_name = PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(item.name, item.label) for item in items_of(model_admin.model)]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        for item in items_of(queryset.model):
            if item.name == self.value():
                return queryset.filter(pk__in=item.rows(timezone.now()).order_by().values("pk"))
        return queryset
