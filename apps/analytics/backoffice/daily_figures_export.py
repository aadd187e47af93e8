"""Exporting the daily figures of the days that the page on revenue shows."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.analytics.exports import DAILY_FIGURES
from apps.analytics.models import VIEW_FIGURES
from apps.core.backoffice.exports import ExportsBusy, FileTypeForm, file_response
from apps.core.backoffice.second_factor import ask_fresh_proof

from .period_picker import read_selection


@require_http_methods(["GET", "HEAD", "POST"])
def export_daily_figures(request: HttpRequest) -> HttpResponseBase:
    """Asks on GET for the type of file; on POST sends the file, with all currencies. The days are in the address.

    Raises PermissionDenied for staff without the permission to view figures.
    """
    if not request.user.has_perm(VIEW_FIGURES):
        raise PermissionDenied
    if (page := ask_fresh_proof(request)) is not None:
        return page
    selection = read_selection(request.GET, today=timezone.localdate())
    form = FileTypeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        criteria = f"from {selection.period.first} to {selection.period.last}"
        try:
            return file_response(
                request, DAILY_FIGURES, selection.period, form.chosen_type, criteria=criteria
            )
        except ExportsBusy as error:
            form.add_error(None, str(error))
    context = {
        **admin.site.each_context(request),
        "title": "Export daily figures",
        "form": form,
        "summary": selection.title,
        "of_no_people": True,
        "back": selection.address_of(reverse("admin-revenue")),
    }
    return TemplateResponse(request, "core/export.html", context)
