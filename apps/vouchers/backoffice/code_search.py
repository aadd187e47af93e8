"""Finding rows in the admin by a voucher's code, or by its end."""

from typing import Any

from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import IntegerField, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.core.backoffice.counting import is_row_number
from apps.vouchers import codes


class FoundByCode(ModelAdmin):
    """Search by a voucher's code in any form, by its last four symbols, and by `search_fields` (text, or =exactly)."""

    code_field = "code"
    search_help_text = "A code, its last four symbols, or an e-mail address"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Keeps a code that was searched for out of the page: only its last four symbols come back."""
        if code := codes.parse_or_none(request.GET.get(SEARCH_VAR, "")):
            request.sought_code = code  # type: ignore[attr-defined]
            params = request.GET.copy()
            params[SEARCH_VAR] = code[-4:]
            request.GET = params  # type: ignore[assignment]
        return super().get_changelist_instance(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What the term may mean, each by an index of its own: an OR over several tables would read every row."""
        typed = search_term.strip()
        if not typed:
            return queryset, False
        rows = self.model._default_manager.order_by()
        symbols = typed.strip("· -")
        if code := getattr(request, "sought_code", None) or codes.parse_or_none(typed):
            matches = [rows.filter(**{self.code_field: code})]
        else:
            matches = []
            if "·" not in typed:  # with which our pages show the end of a code
                for field in self.get_search_fields(request):
                    matches += self._by_field(rows, field, typed)
            if codes.is_last_four(symbols):
                matches.append(rows.filter(**{f"{self.code_field}__last_four": symbols.upper()}))
        first, *others = [each.values("pk") for each in matches] or [rows.none()]
        return queryset.filter(pk__in=first.union(*others) if others else first), False

    def _by_field(self, rows: QuerySet[Any], field: str, typed: str) -> list[QuerySet[Any]]:
        """The rows in which a field has the text in it, or for a field named with = is it."""
        if not field.startswith("="):
            return [rows.filter(**{f"{field}__icontains": typed})]
        path = field[1:]
        if not isinstance(get_fields_from_path(self.model, path)[-1], IntegerField):
            return [rows.filter(**{path: typed})]
        return [rows.filter(**{path: int(typed)})] if is_row_number(typed) else []
