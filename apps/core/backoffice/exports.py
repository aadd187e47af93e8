"""Exporting a list of the admin as it is filtered at the moment: a button above it, a page that asks how, a file."""

from collections.abc import Generator, Iterator
from threading import BoundedSemaphore
from typing import Any, ClassVar, Final

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.core.backoffice.addresses import list_address, page_address
from apps.core.backoffice.counting import is_row_number
from apps.core.backoffice.filters import OfRowFilter
from apps.core.backoffice.second_factor import ask_fresh_proof
from apps.core.dates import zone_name
from apps.core.exports import FILE_TYPES, DaysInvalid, FileType, Table, export_file

# A file of more rows is for the command. A streamed one computes for about ten seconds at this size; of another nothing
# is sent until all of it is written, and proxies wait for half a minute at the least.
MAX_STREAMED_ROWS: Final = 100_000
MAX_WRITTEN_ROWS: Final = 20_000
EXPORTS_AT_ONCE: Final = 2  # in this process: the other threads are for other requests

_slots = BoundedSemaphore(EXPORTS_AT_ONCE)


class ExportsBusy(Exception):
    """As many exports are being written as this process writes at once."""

    def __str__(self) -> str:
        return "Other exports are being written. Try again in a minute."


class FileTypeForm(forms.Form):
    """As which type of file."""

    file_type = forms.ChoiceField(
        label="File",
        choices=[(name, each.label) for name, each in FILE_TYPES.items()],
        widget=UnfoldAdminSelectWidget,
    )

    @property
    def chosen_type(self) -> FileType:
        return FILE_TYPES[self.cleaned_data["file_type"]]


class ExportForm(FileTypeForm):
    """Which of the rows, and as which type of file."""

    days = forms.ChoiceField(
        label="Date",
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Which date of a row lies in the days below. Without days all rows are exported.",
    )
    first = forms.DateField(
        label="First day", required=False, widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    last = forms.DateField(
        label="Last day", required=False, widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )
    field_order = ("days", "first", "last", "file_type")

    def __init__(self, data: Any, *, table: Table, queryset: QuerySet[Any]) -> None:
        super().__init__(data)
        self.table = table
        self.queryset = queryset
        self.fields["days"].choices = [(each.name, each.name) for each in table.days]  # type: ignore[attr-defined]
        for name, which in (("first", "From the start"), ("last", "To the end")):
            self.fields[name].help_text = f"{which} of this day, {zone_name()} time. Empty: without a bound."

    @property
    def words(self) -> str:
        """The days as the record has them; empty if all."""
        first, last = self.cleaned_data["first"], self.cleaned_data["last"]
        bounds = [f"{word} {day}" for word, day in (("from", first), ("to", last)) if day]
        return " ".join([self.cleaned_data["days"], *bounds]) if bounds else ""

    def clean(self) -> None:
        """Choose the rows, and refuse more than this way is for."""
        data = self.cleaned_data
        if self.errors:
            return
        data["days"] = data["days"] or self.table.days[0].name
        [days] = [each for each in self.table.days if each.name == data["days"]]
        try:
            self.queryset = days.choose(self.queryset, data["first"], data["last"])
        except DaysInvalid as error:
            raise forms.ValidationError(str(error), code="days") from error
        at_most = MAX_STREAMED_ROWS if self.chosen_type.is_streamed else MAX_WRITTEN_ROWS
        rows = self.queryset.order_by().count()
        if rows > at_most:
            raise forms.ValidationError(
                f"{rows:,} rows; from here at most {at_most:,} as {self.chosen_type.extension.upper()}. Choose"
                f" fewer days, or have somebody run manage.py {self.table.command}, which takes any number.",
                code="too_many",
            )


class ExportableAdmin(ModelAdmin):
    """A list that whoever has the permission of its `export_table` can export as it is filtered."""

    export_table: ClassVar[Table]
    actions_list = ("export",)

    def has_export_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(self.export_table.permission)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The button leads on with the filters of the list."""
        response: HttpResponse = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data and request.GET:
            address = page_address(self.model, "export")
            for entry in response.context_data.get("actions_list", ()):
                if entry.get("path") == address:
                    entry["path"] = f"{address}?{request.GET.urlencode()}"
        return response

    @action(description="Export", url_path="export", permissions=["view", "export"], icon="download")
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """Asks on GET how the rows are to be exported; on POST sends the file."""
        if (page := ask_fresh_proof(request)) is not None:
            return page
        try:
            changes = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return redirect(list_address(self.model))
        form = ExportForm(
            request.POST if request.method == "POST" else None,
            table=self.export_table,
            queryset=changes.queryset,
        )
        if form.is_valid():
            criteria = "; ".join([*_criteria(changes), *filter(None, [form.words])])
            try:
                return file_response(
                    request, self.export_table, form.queryset, form.chosen_type, criteria=criteria
                )
            except ExportsBusy as error:
                form.add_error(None, str(error))
        query = request.GET.urlencode()
        names = self.opts.verbose_name if changes.result_count == 1 else self.opts.verbose_name_plural
        context = {
            **self.admin_site.each_context(request),
            "title": f"Export {self.opts.verbose_name_plural}",
            "opts": self.opts,
            "form": form,
            "summary": f"{changes.shown_count} {names} in the list",
            "criteria": _criteria(changes, searched=changes.query),
            "back": f"{list_address(self.model)}{'?' if query else ''}{query}",
        }
        return TemplateResponse(request, "core/export.html", context)


def file_response(
    request: HttpRequest, table: Table, rows: Any, file_type: FileType, *, criteria: str
) -> StreamingHttpResponse:
    """The answer that is the file with these rows of the table, recorded with the `criteria` that chose them.

    Raises ExportsBusy while as many exports as may be are being written.
    """
    if not _slots.acquire(blocking=False):
        raise ExportsBusy
    try:
        exported = export_file(table, rows, file_type, actor=request.user, criteria=criteria, note="Admin")
        parts = _Parts(exported.parts)
    except BaseException:
        _slots.release()
        raise
    name = f"{table.slug}-{timezone.localdate()}.{file_type.extension}"
    return StreamingHttpResponse(
        parts,
        content_type=file_type.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


class _Parts:
    """The parts of a file, the first of them made at once: what fails before it is answered as an error.

    The slot is given back when the file was taken, or whoever took it went away. Django and the server close it.
    """

    def __init__(self, parts: Generator[bytes, None, None]) -> None:
        self.parts = parts
        self.first = next(parts, b"")
        self.is_open = True

    def __iter__(self) -> Iterator[bytes]:
        yield self.first
        yield from self.parts
        self.close()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            try:
                self.parts.close()
            finally:  # also where the database has gone
                _slots.release()


def _criteria(changes: Any, *, searched: str = "") -> list[str]:
    """By what a list is filtered, in words for people.

    Of what was searched for, the record has no more than a number: anything else may name a person.
    """
    words = []
    used = set()
    for spec in changes.filter_specs:
        used.update(spec.expected_parameters())
        if isinstance(spec, OfRowFilter):
            words.append(f"{spec.title}: number {spec.value()}")  # its name may be a person's
        elif spec.used_parameters:
            chosen = [str(choice["display"]) for choice in spec.choices(changes) if choice["selected"]]
            words += [f"{spec.title}: {', '.join(chosen)}"] if chosen else []
    words += [
        f"{name}: {', '.join(map(str, values))}"
        for name, values in changes.get_filters_params().items()
        if name not in used
    ]
    if changes.query:
        term = changes.query if searched or is_row_number(changes.query) else "a text"
        words.append(f"search: {term}")
    return words
