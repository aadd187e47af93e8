"""Filters that more than one list offers."""

from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field

FilterSet = TypeVar("FilterSet", bound=type[filters.FilterSet])
LARGEST_ID = 2**63 - 1
NO_NUL = r"^[^\x00]*$"


@extend_schema_field({"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID})
class IdFilter(filters.NumberFilter):
    """A row's id: a whole number that the column can hold."""

    field_class = forms.IntegerField

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_ID, **options)


class TextFilter(filters.CharFilter):
    """Text of at most `max_length` characters; the OpenAPI document says so, with the label as description."""

    def __init__(self, *, max_length: int, label: str = "", **options: Any) -> None:
        super().__init__(max_length=max_length, label=label or None, **options)
        described = {"description": label} if label else {}
        extend_schema_field({"type": "string", "maxLength": max_length, "pattern": NO_NUL, **described})(self)


class InstantField(forms.CharField):
    """An ISO 8601 time, or a date, which means its first moment, or its last where `end` is set.

    A date, and a time without offset, are in the project's time zone. Gives an aware datetime.
    """

    def __init__(self, *, end: bool = False, **options: Any) -> None:
        self.end = end
        super().__init__(max_length=40, **options)

    def clean(self, value: Any) -> datetime | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            # An unencoded "+" in a query string arrives as a space.
            moment = parse_datetime(text.replace(" ", "+")) if len(text) > 10 else None
            if moment is None and (day := parse_date(text)):
                moment = datetime.combine(day, time.max.replace(fold=1) if self.end else time.min)
            if moment is not None:
                moment = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
                # In UTC: PostgreSQL takes no offset of 16 hours or more, which ISO 8601 allows.
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise ValidationError("Not an ISO 8601 date or time.", code="invalid")


INSTANT = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}],
    "description": "ISO 8601 date or time, inclusive.",
}


@extend_schema_field(INSTANT)
class InstantFilter(filters.CharFilter):
    field_class = InstantField


def with_period(field: str) -> Callable[[FilterSet], FilterSet]:
    """Add the filters `from` and `to`, both inclusive, on a time column (`from` is no name in Python)."""

    def add(filter_set: FilterSet) -> FilterSet:
        filter_set.base_filters["from"] = InstantFilter(field_name=field, lookup_expr="gte")
        filter_set.base_filters["to"] = InstantFilter(field_name=field, lookup_expr="lte", end=True)
        return filter_set

    return add
