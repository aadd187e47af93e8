"""Addresses of the admin's pages of a model, and the permission to see its rows."""

from django.db.models import Model
from django.urls import reverse


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


def view_permission(model: type[Model]) -> str:
    """What whoever looks at rows of a model needs, as "app.codename"."""
    return f"{model._meta.app_label}.view_{model._meta.model_name}"
