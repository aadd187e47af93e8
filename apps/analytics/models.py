"""The permission to see the figures."""

from typing import Final

from django.db import models

VIEW_FIGURES: Final = "analytics.view_figures"


class Figures(models.Model):
    """No table: it carries the permission for figures of the whole platform, which are computed from all rows."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (("view_figures", "Can see the figures of the platform: sales, revenue, liability"),)

    def __str__(self) -> str:
        return "Figures"
