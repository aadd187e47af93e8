"""Batches for staff: what was issued in bulk and what became of it, issuing more, and exporting the codes.

No page shows a code. They leave in the exported file alone, and each export is recorded.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import BadRequest
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminSelectWidget

from apps.core.backoffice.bulk_operations import operations_of
from apps.core.backoffice.counting import is_row_number
from apps.core.backoffice.filters import DayRangeFilter, of_row
from apps.core.backoffice.lists import BoundedChangeList
from apps.core.backoffice.read_only import ReadOnlyAdmin, ReadOnlyInline, link_to
from apps.core.backoffice.second_factor import ask_fresh_proof
from apps.core.errors import DomainError
from apps.core.exports import FILE_TYPES
from apps.users.current_user import current_user
from apps.users.models import User
from apps.vouchers import batch_csv, selectors, voucher_pdf
from apps.vouchers.backoffice.batch_changes import ChangesBatch, voucher_list
from apps.vouchers.backoffice.code_exports import ask_for_approval
from apps.vouchers.models import VIEW_VOUCHERS, Batch, BatchExport, Voucher, VoucherType
from apps.vouchers.services import batches, code_exports
from apps.vouchers.states import VoucherStatus
from apps.vouchers.type_names import service_name

MAX_VOUCHERS: Final = 5000  # about two seconds: more than that is for the command
PRINTED_AT_ONCE: Final = 200  # about three seconds, for which other PDFs wait


class BatchForm(forms.ModelForm):
    refused: DomainError | None = None  # why these vouchers could not be issued a moment ago

    def clean(self) -> dict[str, Any] | None:
        if self.refused is not None:
            raise forms.ValidationError(self.refused.detail, code=self.refused.code)
        return super().clean()

    def clean_quantity(self) -> int:
        quantity: int = self.cleaned_data["quantity"]
        if not 1 <= quantity <= MAX_VOUCHERS:
            raise forms.ValidationError(
                f"1 to {MAX_VOUCHERS:,} at once. For more there is: manage.py issue_vouchers", code="too_many"
            )
        return quantity

    def clean_label(self) -> str:
        label: str = self.cleaned_data["label"]
        if not batches.is_label(label):
            raise forms.ValidationError(
                "On one line, without control characters, and no code.", code="invalid"
            )
        return label

    def clean_face_value(self) -> Decimal | None:
        value: Decimal | None = self.cleaned_data["face_value"]
        if value is not None and value < 0:
            raise forms.ValidationError("0 or more.", code="min_value")
        return value


class SeparatorForm(forms.Form):
    """What separates the cells of the file; the comma if nobody says."""

    separator = forms.ChoiceField(
        label="Format",
        required=False,
        choices=[
            (name, file_type.label)
            for name, file_type in ((each.separator, each) for each in FILE_TYPES.values())
            if name
        ],
        widget=UnfoldAdminSelectWidget,
    )

    def clean_separator(self) -> str:
        return self.cleaned_data["separator"] or "comma"


class Counted(BoundedChangeList):
    """Counts the vouchers of the batches on the page, all in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts = selectors.batch_counts([batch.pk for batch in self.result_list], now=timezone.now())
        for batch in self.result_list:
            batch.counts = counts[batch.pk]


class ExportInline(ReadOnlyInline):
    model = BatchExport
    verbose_name_plural = "exports of the codes"
    fields = ("at", "actor", "note", "codes")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BatchExport]:
        exports: QuerySet[BatchExport] = super().get_queryset(request)
        return exports.select_related("actor")


class VoucherInline(ReadOnlyInline):
    model = Voucher
    fields = ("link", "status", "uses", "expiry_date")
    readonly_fields = ("link", "status", "uses")
    ordering = ("pk",)

    @admin.display(description="code")
    def link(self, voucher: Voucher) -> str:
        return link_to(voucher)

    @admin.display(description="status")
    def status(self, voucher: Voucher) -> str:
        return str(voucher.status_at(timezone.now()).label)

    @admin.display(description="uses made")
    def uses(self, voucher: Voucher) -> str:
        return f"{voucher.uses_made} of {voucher.total_uses}"


class BatchAdmin(ChangesBatch, ReadOnlyAdmin):
    keeps_log = True
    form = BatchForm
    list_display = (
        "label",
        "voucher_type",
        "owner",
        "issued",
        "active",
        "used",
        "expired",
        "inactive",
        "created_at",
    )
    list_filter = ("voucher_type", ("created_at", DayRangeFilter), of_row("person", "owner"))
    sortable_by = None  # staff make them, so there are few
    list_select_related = ("voucher_type", "owner")
    list_per_page = 20
    search_fields = ("label", "owner__email")
    search_help_text = "Part of a label, or an e-mail address"
    autocomplete_fields = ("owner",)
    add_fields = ("voucher_type", "owner", "quantity", "face_value", "label")
    fieldsets = (
        (None, {"fields": ("label", "voucher_type", "owner")}),
        ("Vouchers", {"fields": ("issued", ("active", "used"), ("expired", "inactive"))}),
        (
            "Terms",
            {"fields": ("service", ("face_value", "currency"), ("validity_days", "max_uses"))},
        ),
        ("Issue", {"fields": (("created_at", "completed_at"), ("created_by", "note"))}),
        ("Changes of all vouchers", {"fields": (operations_of,)}),
    )
    readonly_fields = ("note", "service", "issued", "active", "used", "expired", "inactive", operations_of)
    inlines: ClassVar = [ExportInline, VoucherInline]
    actions_detail = ("export_codes", "print_sheets", ChangesBatch.batch_changes)

    # --- Looking ----------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return Counted

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Notes whether the counts of the page may lead to the vouchers."""
        batch = super().get_object(request, object_id, from_field)
        if batch is not None:
            batch.is_linked = request.user.has_perm(VIEW_VOUCHERS)
        return batch

    @admin.display(description="service")
    def service(self, batch: Batch) -> str:
        return service_name(batch.service_type)

    @admin.display(description="issued")
    def issued(self, batch: Batch) -> str:
        issued = _counts(batch).issued
        number = _number(batch, issued)
        return number if issued == batch.quantity else format_html("{} of {}", number, f"{batch.quantity:,}")

    @admin.display(description="active")
    def active(self, batch: Batch) -> str:
        return _number(batch, _counts(batch).active, VoucherStatus.ACTIVE)

    @admin.display(description="used")
    def used(self, batch: Batch) -> str:
        return _number(batch, _counts(batch).used, VoucherStatus.USED)

    @admin.display(description="expired")
    def expired(self, batch: Batch) -> str:
        return _number(batch, _counts(batch).expired, VoucherStatus.EXPIRED)

    @admin.display(description="held")
    def inactive(self, batch: Batch) -> str:
        return _number(batch, _counts(batch).inactive, VoucherStatus.INACTIVE)

    # --- Issuing ----------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("vouchers.add_batch")

    def get_fieldsets(self, request: HttpRequest, obj: Batch | None = None) -> Any:
        if obj is None:
            about = "The owner has them at once, with the terms that the type has now."
            return ((None, {"fields": self.add_fields, "description": about}),)
        return super().get_fieldsets(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Batch | None) -> list[Any]:
        return list(self.inlines) if obj else []

    def get_form(
        self, request: HttpRequest, obj: Batch | None = None, change: bool = False, **options: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **options)
        if obj is None:
            form.refused = getattr(request, "issue_refused", None)
            value = form.base_fields["face_value"]
            value.required = False
            value.help_text = "Of each, in the currency of the type. Empty: its price."
            form.base_fields["label"].help_text = "The same label is never issued twice."
        return form

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **options: Any
    ) -> Any:
        """Nothing is issued of a type off sale or to an account that is not active."""
        if db_field.name == "voucher_type":
            options["queryset"] = VoucherType.objects.on_sale()
        if db_field.name == "owner":
            options["queryset"] = User.objects.filter(is_active=True)
        return super().formfield_for_foreignkey(db_field, request, **options)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A label from when the page was opened: sent twice, the form issues one batch. Nothing from the address."""
        return {"label": f"{timezone.localtime():%Y-%m-%d %H:%M:%S} by user {current_user(request).pk}"}

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        chosen = (request.POST.get(name) for name in ("voucher_type", "owner"))
        if not all(map(is_row_number, filter(None, chosen))):
            raise BadRequest("No such rows")  # which the fields to choose them can't show again
        try:
            response: HttpResponse = super().add_view(
                request, form_url, {**(extra_context or {}), "title": "Issue vouchers"}
            )
        except (
            DomainError
        ) as error:  # which only the issue itself finds: the form again, with all that was typed
            request.issue_refused = error  # type: ignore[attr-defined]
            response = super().add_view(
                request, form_url, {**(extra_context or {}), "title": "Issue vouchers"}
            )
        return response

    def save_model(self, request: HttpRequest, obj: Batch, form: Any, change: bool) -> None:
        """In the transaction of the request: all of the batch, or nothing."""
        data = form.cleaned_data
        batch = batches.get_or_create_batch(
            voucher_type=data["voucher_type"],
            owner=data["owner"],
            quantity=data["quantity"],
            label=data["label"],
            face_value=data["face_value"],
            actor=current_user(request),
            note="Admin",
        )
        batches.issue_remaining(batch=batch)
        obj.__dict__.update(batch.__dict__)

    # --- Exporting --------------------------------------------------------------------------------------------

    def has_export_codes_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("vouchers.export_codes")

    @action(
        description="Export codes (CSV)",
        url_path="export-codes",
        permissions=["view", "export_codes"],
        icon="download",
    )
    def export_codes(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Asks on GET; on POST sends the codes as CSV."""

        form = SeparatorForm(request.POST if request.method == "POST" else None)

        def table(batch: Batch, vouchers: Iterable[Voucher]) -> HttpResponseBase:
            parts = batch_csv.parts(batch, vouchers, separator=form.cleaned_data["separator"])
            return StreamingHttpResponse(parts, content_type=FILE_TYPES["csv"].media_type)

        return self._export(
            request, object_id, "Export codes", f"batch-{object_id}-codes.csv", table, form=form
        )

    @action(
        description="Print sheets (PDF)",
        url_path="print-sheets",
        permissions=["view", "export_codes"],
        icon="print",
    )
    def print_sheets(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Asks on GET; on POST sends the vouchers to print, eight to a sheet."""

        def sheets(batch: Batch, vouchers: Iterable[Voucher]) -> HttpResponseBase:
            return HttpResponse(voucher_pdf.sheets_pdf(vouchers), content_type="application/pdf")

        return self._export(
            request,
            object_id,
            "Print sheets",
            f"batch-{object_id}-vouchers.pdf",
            sheets,
            at_most=PRINTED_AT_ONCE,
        )

    def _export(
        self,
        request: HttpRequest,
        object_id: str,
        title: str,
        filename: str,
        rendered: Callable[[Batch, Iterable[Voucher]], HttpResponseBase],
        *,
        at_most: int | None = None,
        form: forms.Form | None = None,
    ) -> HttpResponseBase:
        """The page that asks; on POST what `rendered` makes of the batch, recorded as an export."""
        batch: Batch | None = self.get_object(request, object_id)
        if batch is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        if (page := ask_fresh_proof(request)) is not None:
            return page
        back = redirect(reverse("admin:vouchers_batch_change", args=(batch.pk,)))
        if at_most and batch.quantity > at_most:
            messages.error(
                request, f"At most {at_most} from here. For more there is: manage.py issue_vouchers --pdf"
            )
            return back
        if (approval := ask_for_approval(self, request, batch, title)) is not None:
            return approval
        if request.method == "POST" and (form is None or form.is_valid()):
            try:
                vouchers = code_exports.export_codes(batch=batch, actor=current_user(request), note=title)
            except DomainError as error:
                messages.error(request, error.detail)
                return back
            self.log_change(request, batch, f"{title}: {batch.quantity}.")
            response = rendered(batch, vouchers)
            response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "object": batch,
            "original": batch,
            "form": form,
            "exports": batch.exports.select_related("actor")[:20],
        }
        return TemplateResponse(request, "admin/vouchers/batch/export_codes.html", context)


def _counts(batch: Any) -> selectors.BatchCounts:
    """Of a page of batches they are counted already; of one batch here, once."""
    if not hasattr(batch, "counts"):
        batch.counts = selectors.batch_counts([batch.pk], now=timezone.now())[batch.pk]
    counts: selectors.BatchCounts = batch.counts
    return counts


def _number(batch: Batch, number: int, status: VoucherStatus | None = None) -> str:
    """A number of vouchers: on the page of a batch a link to them, for whoever may see them."""
    return voucher_list(batch, number, status) if getattr(batch, "is_linked", False) else f"{number:,}"
