"""What screens of the admin share."""

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import TabularInline

from apps.core.backoffice.addresses import link, row_address
from apps.core.backoffice.attention import ordering_of
from apps.core.backoffice.lists import BoundedAdmin
from apps.core.backoffice.pages import PageAdmin

# What may follow the name of a filter in an address: of a related row no more than which one it is.
HARMLESS: Final = frozenset("exact in isnull gt gte lt lte id pk".split())


def link_to(row: Model, text: object = None) -> str:
    """A link to the page of a row, by its name if there is no other text."""
    return link(row_address(row), text or row)


class ReadOnly:
    """Rows that only services write: nobody adds, changes or deletes them here, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only what the page offers to filter by.

        Django lets the address filter by any column of the row, and a filter by a related row would open all that
        is behind it: `?code__startswith=` would spell out, letter by letter, what the page takes care not to show.
        """
        named: list[str | None] = ["pk", "id"]
        for entry in getattr(self, "list_filter", ()):
            field, kind = entry if isinstance(entry, tuple | list) else (entry, entry)
            named.append(field if isinstance(field, str) else getattr(field, "parameter_name", None))
            if hasattr(kind, "parameters_of"):
                named += kind.parameters_of(field)
        return any(name and _asks_no_more_than(name, lookup) for name in named)


def _asks_no_more_than(name: str, lookup: str) -> bool:
    begins, _, rest = lookup.partition(f"{name}__")
    return lookup == name or (not begins and HARMLESS.issuperset(rest.split("__")))


class LogsEachRow:
    """Writes the admin's history of rows that are deleted together one by one.

    Django would write all at once, without the signal by which codes in their names are masked (core/apps.py).
    """

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> list[Any]:
        log_deletions = super().log_deletions  # type: ignore[misc]
        return [entry for row in queryset for entry in log_deletions(request, [row])]


class ReadOnlyAdmin(ReadOnly, PageAdmin, BoundedAdmin):
    actions: tuple[str, ...] | None = None

    def get_ordering(self, request: HttpRequest) -> Any:
        return ordering_of(request, self.model) or super().get_ordering(request)


class ReadOnlyInline(ReadOnly, TabularInline):
    extra = 0
    per_page = 20
    hide_title = True
