"""Signing in to the admin."""

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from apps.core.errors import TooManyAttempts
from apps.core.rate_limits import count_failures
from apps.users.password_limits import password_attempts

from .devices import device_of


class AdminLoginForm(AuthenticationForm):
    """The admin's sign-in, under the limits of the API's. Both count together."""

    def clean(self) -> dict[str, Any]:
        """Refuse unread what is over a limit, with a sentence for the person and the reason on the request."""
        try:
            email = self.cleaned_data.get("username", "")
            device = device_of(self.request, email)
            with count_failures(ValidationError, of=password_attempts(self.request, email, device=device)):
                cleaned: dict[str, Any] = super().clean()
                return cleaned
        except TooManyAttempts as error:
            raise limit_reached(self.request, error) from error


def limit_reached(request: Any, error: TooManyAttempts) -> ValidationError:
    """What a form says where a limit is reached; the request has the error for the status of the answer."""
    request.refused = error
    minutes = -(-error.retry_after // 60)
    return ValidationError(f"Too many failed attempts. Please try again in {minutes} min.", code=error.code)
