"""Screens of lower apps to which upper apps add what only they know, so that the lower ones need to know none."""

from collections.abc import Callable
from typing import Any

from .pages import PageAdmin, Part


class ExtensibleAdmin(PageAdmin):
    """A screen to which other apps add, each in the `ready` of its AppConfig."""

    @classmethod
    def register_action(cls, name: str, action: Callable[..., Any]) -> None:
        """Offer `action` on the list, after those that are there."""
        setattr(cls, name, action)
        cls.actions = (*(cls.actions or ()), name)

    @classmethod
    def register_detail_action(cls, name: str, action: Callable[..., Any]) -> None:
        """Offer `action` on the page of a row."""
        setattr(cls, name, action)
        cls.actions_detail = (*(cls.actions_detail or ()), name)

    @classmethod
    def register_fields(cls, section: str, *fields: Callable[[Any], str]) -> None:
        """Show `fields`, functions of the row, on one line at the end of a section of the page."""
        cls.readonly_fields = (*cls.readonly_fields, *fields)
        cls.fieldsets = tuple(
            (name, {**options, "fields": (*options["fields"], fields)} if name == section else options)
            for name, options in cls.fieldsets or ()
        )

    @classmethod
    def register_part(cls, *parts: Part) -> None:
        """Show `parts` of other tables on the page of a row, those of upper apps before those of lower ones."""
        cls.parts = (*parts, *cls.parts)
