"""Fields and serializers that more than one app uses."""

from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any, Final

from django.db.models import QuerySet
from rest_framework import serializers

EXPORT_CHUNK: Final = 1000


def in_lists(
    output: type[serializers.Serializer[Any]], rows: QuerySet[Any], *, context: dict[str, Any] | None = None
) -> Iterator[list[Any]]:
    """The rows as `output` shows them, some at a time, so that very many take no more memory than these."""
    each = rows.iterator(EXPORT_CHUNK)
    while some := list(islice(each, EXPORT_CHUNK)):
        yield list(output(some, many=True, context=context or {}).data)


def validated(serializer_class: type[serializers.Serializer[Any]], body: Any) -> dict[str, Any]:
    """A request's body as a serializer of this class validates it. Raises REST framework's ValidationError.

    A new serializer copies all its fields. So one of each class validates all that is in order, as one does the items
    of a list; for the words of a refusal there is a new one. For serializers that read no context.
    """
    try:
        return dict(_shared(serializer_class).run_validation(body))
    except serializers.ValidationError:
        serializer = serializer_class(data=body)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


@cache
def _shared(serializer_class: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    return serializer_class()


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer, or a string of ASCII digits; not `1.0`, `true` or digits of other scripts."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and data.isascii() and data.removeprefix("-").isdigit() and len(data) <= 20:
            data = int(data)
        if type(data) is not int:
            self.fail("invalid")
        return data


class UTCDateTimeField(serializers.DateTimeField):
    """Time in UTC, ISO 8601 with a trailing Z, whatever the project's time zone is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)


class MoneyField(serializers.DecimalField):
    """An amount as a string with two places, `"10.00"`; its currency stands beside it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=14, decimal_places=2, **options)

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(Decimal(value))


class IgnoredField(serializers.JSONField):
    """What older clients send and nothing reads: any value, null too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_null=True, help_text="Ignored.", **options)


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """Refuses members that it does not know: on money and codes, a misspelt name must not pass unnoticed."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(
                    {
                        str(name)[:100]: [
                            serializers.ErrorDetail("This field is not known here.", "unknown_field")
                        ]
                        for name in unknown[:20]
                    }
                )
        return super().to_internal_value(data)
