"""The second factor of a session of the API, and taking it away from a person. The admin's: second_factor/."""

import uuid

from django.db import transaction
from django.utils import timezone

from apps.authentication.models import Session
from apps.authentication.second_factor import factors
from apps.users.models import User

from .sessions import revoke_all_sessions


def pass_second_factor(*, user: User, sid: uuid.UUID, code: str) -> None:
    """Open what staff may do to the session `sid` of `user`, who has sent a code of their second factor.

    Raises SecondFactorCodeInvalid and SecondFactorNotEnrolled.
    """
    with transaction.atomic():
        factors.check_code(user=user, code=code)
        Session.objects.filter(id=sid, user=user).update(second_factor_at=timezone.now())


def reset_second_factor(*, user: User, reason: str, actor: User | None) -> int:
    """Take away all that `user` has as a second factor, and end their sessions; how many factors that were.

    Recorded with the reason and, as far as one is named, the member of staff who answers for it.
    """
    with transaction.atomic():
        number = factors.reset(user=user, reason=reason, actor=actor)
        revoke_all_sessions(user=user)
    return number
