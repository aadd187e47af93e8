"""Filters of the admin's lists: by choices, by local days, and by the row of another list."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import INPUT_CLASSES

from apps.core.backoffice.addresses import view_permission
from apps.core.backoffice.counting import is_row_number
from apps.core.dates import start_of_day


class ChoiceFilter(admin.SimpleListFilter):
    """A filter by choices that stays when days are chosen beside it: unfold's form sends on what these two name."""

    @property
    def lookup_kwarg(self) -> str:
        return str(self.parameter_name)

    @property
    def lookup_val(self) -> list[str | None]:
        return [self.value()]


class OfRowFilter(ChoiceFilter):
    """Only what belongs to one row of another table, to whose number a page links; offered nowhere else.

    `path` leads from the list's model to that row.
    """

    path = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        number = self.value()
        if number is None:
            return []
        if not is_row_number(number):
            raise IncorrectLookupParameters
        related: Any = get_fields_from_path(model_admin.model, self.path)[-1].related_model
        name = f"number {number}"
        if request.user.has_perm(view_permission(related)):
            row = related._default_manager.filter(pk=number).first()
            name = str(row or name)
        return [(number, name)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        number = self.value()
        return queryset if number is None else queryset.filter(**{self.path: number})


def of_row(parameter: str, path: str, title: str = "") -> type[OfRowFilter]:
    """The filter by the row at the end of `path`, whose number is the `parameter` of the list's address."""
    return type(
        f"{parameter.title()}Filter",
        (OfRowFilter,),
        {"parameter_name": parameter, "title": title or parameter, "path": path},
    )


class DaysForm(forms.Form):
    """From which day to which, both included."""

    def __init__(self, name: str, title: str, data: dict[str, Any]) -> None:
        super().__init__(data)
        for bound in ("from", "to"):
            label = f"{title.capitalize()}, {bound}"
            widget = forms.DateInput(
                attrs={"type": "date", "aria-label": label, "class": " ".join(INPUT_CLASSES)}
            )
            self.fields[f"{name}_{bound}"] = forms.DateField(label=label, required=False, widget=widget)


class DayRangeFilter(admin.FieldListFilter):
    """Rows of some local days, by the two parameters FIELD_from and FIELD_to (2026-12-31), each of which may be empty.

    The list is a BoundedAdmin, which sends its fields, and the column has an index.
    """

    template = "core/days_filter.html"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        used: dict[str, Any] = self.used_parameters
        chosen = {name: values[-1] for name, values in used.items()}
        self.used_parameters = {name: value for name, value in chosen.items() if value}

    @staticmethod
    def parameters_of(field: str) -> tuple[str, str]:
        """The names of the first and the last day of a field in addresses."""
        return f"{field}_from", f"{field}_to"

    def expected_parameters(self) -> list[Any]:
        return list(self.parameters_of(self.field_path))

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (self._day(name) for name in self.expected_parameters())
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": start_of_day(first)})
        if last:
            queryset = queryset.filter(**{f"{self.field_path}__lt": start_of_day(last + timedelta(days=1))})
        return queryset

    def _day(self, name: str) -> date | None:
        """The day of a parameter; a list whose address names none that there is is shown without filters."""
        if name not in self.used_parameters:
            return None
        try:
            day = date.fromisoformat(str(self.used_parameters[name]))
        except ValueError as error:
            raise IncorrectLookupParameters from error
        if not 1900 <= day.year <= 9000:
            raise IncorrectLookupParameters
        return day

    def choices(self, changelist: Any) -> Iterator[Any]:
        chosen = {name: self.used_parameters.get(name, "") for name in self.expected_parameters()}
        words = [
            f"{word} {value}" for word, value in zip(("from", "to"), chosen.values(), strict=True) if value
        ]
        yield {
            "form": DaysForm(self.field_path, str(self.title), chosen),
            "selected": bool(words),
            "display": " ".join(words),
        }
