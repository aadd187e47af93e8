"""The fields of the pages of the second factor."""

from typing import Any

from django import forms
from django.contrib import messages
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.core.errors import DomainError, TooManyAttempts


class CodeForm(forms.Form):
    """A code that a person reads somewhere and types here."""

    code = forms.CharField(
        max_length=40,
        widget=UnfoldAdminTextInputWidget(
            attrs={
                "autocomplete": "one-time-code",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
            }
        ),
    )

    def __init__(self, data: Any = None, *, label: str, help_text: str = "", name: str = "code") -> None:
        """`name` is that of the field in what is sent, where others stand beside it."""
        self.name = name
        super().__init__(data)
        self.fields["code"].label = label
        self.fields["code"].help_text = help_text

    def add_prefix(self, field_name: str) -> str:
        return self.name

    def refuse(self, request: Any, error: DomainError) -> None:
        """Show the error, at the field if it was sent; of a limit the answer has the status, too."""
        text = error.detail
        if isinstance(error, TooManyAttempts):
            request.refused = error
            text = f"Too many failed attempts. Please try again in {-(-error.retry_after // 60)} min."
        if self.is_bound:
            self.add_error("code", forms.ValidationError(text, code=error.code))
        else:
            messages.error(request, text)
