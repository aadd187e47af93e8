"""Columns that are the same in every row, as a UNION needs them where one of its parts has nothing to say."""

from typing import Any

from django.db.models import DecimalField, DurationField, IntegerField, Value
from django.db.models.functions import Cast

from .metrics import MONEY, TIME


class Constant(Cast):
    """A value as a column of a type; by it no rows are grouped."""

    def get_group_by_cols(self) -> list[Any]:
        return []


def nothing(name: str) -> Any:
    """No figure of a name, of the type that the others have."""
    if name in MONEY:
        return Constant(Value(0), DecimalField(max_digits=20, decimal_places=2))
    if name == TIME:
        return Constant(Value(None), DurationField())
    return Value(0, output_field=IntegerField())
