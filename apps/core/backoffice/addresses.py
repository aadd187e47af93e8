"""Addresses of the admin's pages of a model, links as its pages have them, and the permission to see rows."""

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html


def page_address(model: type[Model] | Model, page: str, *arguments: object) -> str:
    """A page of the admin of a model, such as "changelist" or, with the number of a row, "history"."""
    opts = model._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=arguments)


def list_address(model: type[Model]) -> str:
    """The list of a model in the admin."""
    return page_address(model, "changelist")


def row_address(row: Model) -> str:
    """The page of a row in the admin."""
    return page_address(row, "change", row.pk)


def link(address: str, text: object) -> str:
    """A link within the admin, as its pages show them."""
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, text)


def view_permission(model: type[Model]) -> str:
    """What whoever looks at rows of a model needs, as "app.codename"."""
    return f"{model._meta.app_label}.view_{model._meta.model_name}"
