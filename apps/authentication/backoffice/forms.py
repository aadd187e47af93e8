"""The fields of the pages of the second factor."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.authentication.forms import limit_reached
from apps.authentication.rate_limits import second_factor_attempts
from apps.core.errors import DomainError, TooManyAttempts
from apps.core.rate_limits import count_failures
from apps.users.current_user import current_user


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

    def attempt(self, request: HttpRequest, step: Callable[[], None], *, limited: bool = True) -> bool:
        """Take the step, under the limit on attempts at the second factor; where it is refused the form says why."""
        attempts = second_factor_attempts(current_user(request)) if limited else ()
        try:
            with count_failures(DomainError, of=attempts):
                step()
        except DomainError as error:
            self._show(request, error)
            return False
        return True

    def _show(self, request: HttpRequest, error: DomainError) -> None:
        """Show the error, at the field if it was sent; of a limit the answer has the status, too."""
        if isinstance(error, TooManyAttempts):
            problem = limit_reached(request, error)
        else:
            problem = forms.ValidationError(error.detail, code=error.code)
        if self.is_bound:
            self.add_error("code", problem)
        else:
            messages.error(request, problem.message)
