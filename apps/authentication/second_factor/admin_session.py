"""What the session of the admin knows of the second factor: by which factor it was passed, and when."""

import time
from typing import Any, Final

import django_otp
from django.conf import settings
from django.http import HttpRequest
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.models import Device

from apps.users.current_user import current_user
from apps.users.models import User

FRESH_SECONDS: Final = 600  # for so long a proof is fresh
_PROVED_AT: Final = "second_factor_proved_at"  # seconds since the epoch


def is_passed(request: HttpRequest, user: User) -> bool:
    """Whether the second factor was passed in this session, by a factor that `user` still has."""
    key = request.session.get(DEVICE_ID_SESSION_KEY)
    factor = Device.from_persistent_id(key) if key else None
    return factor is not None and factor.user_id == user.pk and bool(factor.confirmed)


def is_missing(request: HttpRequest, user: User) -> bool:
    """Whether staff need a second factor, and it was not passed in this session."""
    return bool(settings.STAFF_SECOND_FACTOR) and not is_passed(request, user)


def is_fresh(request: HttpRequest, user: User) -> bool:
    """Whether the second factor was passed in this session within FRESH_SECONDS."""
    age = time.time() - request.session.get(_PROVED_AT, 0)
    return 0 <= age < FRESH_SECONDS and is_passed(request, user)


def note_passed(request: HttpRequest, factor: Any) -> None:
    """Note that the session's user has just proved to have this factor.

    A session that had not passed, or by a factor that is gone, gets a new key: nobody has it from before.
    """
    if not is_passed(request, current_user(request)):
        request.session.cycle_key()
    django_otp.login(request, factor)
    request.session[_PROVED_AT] = int(time.time())
