"""Who is calling."""

from django.http import HttpRequest
from rest_framework.request import Request

from .models import User


def current_user(request: Request | HttpRequest) -> User:
    """The user of a request to a view that lets only signed-in users in."""
    assert isinstance(request.user, User)
    return request.user
