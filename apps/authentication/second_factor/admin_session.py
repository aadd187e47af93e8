"""What the session of the admin knows of the second factor: by which factor it was passed. When: fresh_proof.py."""

from django.conf import settings
from django.http import HttpRequest
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.models import Device

from apps.users.models import User


def is_passed(request: HttpRequest, user: User) -> bool:
    """Whether the second factor was passed in this session, by a factor that `user` still has."""
    key = request.session.get(DEVICE_ID_SESSION_KEY)
    factor = Device.from_persistent_id(key) if key else None
    return factor is not None and factor.user_id == user.pk and bool(factor.confirmed)


def is_missing(request: HttpRequest, user: User) -> bool:
    """Whether staff need a second factor, and it was not passed in this session."""
    return bool(settings.STAFF_SECOND_FACTOR) and not is_passed(request, user)
