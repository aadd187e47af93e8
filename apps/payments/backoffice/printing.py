"""Printing all vouchers of a purchase, for staff, as when the buyer stands at the desk."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget

from apps.core.api.downloads import file_response
from apps.core.backoffice.confirmed_actions import ActionTarget
from apps.core.backoffice.second_factor import ask_fresh_proof
from apps.core.errors import DomainError
from apps.payments.backoffice.columns import money
from apps.payments.models import Transaction
from apps.payments.services import purchase_code_exports
from apps.users.current_user import current_user
from apps.vouchers.voucher_pdf import Paper, vouchers_pdf

PRINTED_AT_ONCE: Final = 200  # about three seconds, for which other PDFs wait
PAPERS: Final = (
    (Paper.A4, "A4, eight to a sheet"),
    (Paper.LETTER, "Letter, eight to a sheet"),
    (Paper.A5, "A5, a page for each"),
    (Paper.SLIP, "80 mm, a slip for each"),
)


class PaperForm(forms.Form):
    """What the vouchers are printed on."""

    paper = forms.ChoiceField(choices=PAPERS, widget=UnfoldAdminSelectWidget)


class PrintsVouchers(ModelAdmin):
    """The action of a payment's page that prints its vouchers."""

    def has_export_codes_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("vouchers.export_codes")

    @action(
        description="Print vouchers (PDF)",
        url_path="print-vouchers",
        permissions=["view", "export_codes"],
        icon="print",
    )
    def print_vouchers(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks on GET; on POST sends the vouchers to print, on the paper of the form."""
        paid: Transaction | None = self.get_object(request, object_id)
        if paid is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        if (page := ask_fresh_proof(request)) is not None:
            return page
        back = reverse("admin:payments_transaction_change", args=(paid.pk,))
        if paid.quantity > PRINTED_AT_ONCE:
            messages.error(
                request, f"At most {PRINTED_AT_ONCE} from here. Mail the receipt again: it has all codes."
            )
            return redirect(back)
        form = PaperForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            return self._file(request, paid, Paper(form.cleaned_data["paper"]), back)
        context = {
            **self.admin_site.each_context(request),
            "title": "Print vouchers",
            "opts": self.opts,
            "original": paid,
            "effect": "The file holds all codes in full. Whoever has it, or what is printed of it, can use them: keep"
            " it like cash. That you took them is recorded.",
            "chosen": "1 transaction",
            "targets": [
                ActionTarget(
                    [paid], f"{paid.quantity} × {paid.sold_as}, {money(paid.amount, paid)}, for {paid.user}"
                )
            ],
            "form": form,
            "danger": True,
            "back": back,
        }
        return TemplateResponse(request, "core/confirmed_action.html", context)

    print_vouchers.applies = lambda paid, user: paid.is_paid  # of whose page offers it

    def _file(self, request: HttpRequest, paid: Transaction, paper: Paper, back: str) -> HttpResponse:
        """The file, recorded before it leaves; or back to the page with what is against it."""
        try:
            vouchers = purchase_code_exports.export_codes(
                paid=paid, actor=current_user(request), file_type="pdf", note="Admin: printed"
            )
        except DomainError as error:
            messages.error(request, error.detail)
            return redirect(back)
        self.log_change(request, paid, f"Printed the vouchers: {len(vouchers)}.")
        return file_response(
            vouchers_pdf(vouchers, paper),
            media_type="application/pdf",
            name=f"transaction-{paid.pk}-vouchers.pdf",
        )
