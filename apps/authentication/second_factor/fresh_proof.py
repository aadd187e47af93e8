"""Fresh proofs: for how long after the second factor was passed the admin does what asks for it again.

The page that asks is backoffice/fresh_proof_page.py.
"""

import time
from typing import Any, Final

import django_otp
from django.http import HttpRequest

from apps.users.current_user import current_user
from apps.users.models import User

from .admin_session import is_passed

FRESH_SECONDS: Final = 10 * 60  # templates/authentication/second_factor/fresh_proof.html says it in words
_PROVED_AT: Final = "second_factor_proved_at"  # seconds since the epoch


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
