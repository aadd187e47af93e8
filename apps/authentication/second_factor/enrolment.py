"""Who may add a factor: for the first one whoever reads the person's mail, for others whoever has just proved one.

A password alone sets up nothing: of an account that never had a factor, a thief who knows the password would else
become its owner. What the mailed code is compared with stays in the session that asked for it.
"""

import secrets
import time
from datetime import timedelta
from typing import Any, Final

from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from apps.authentication.errors import EnrolmentCodeInvalid
from apps.core import mail
from apps.users.models import User

from . import factors, fresh_proof

CODE_LIFETIME: Final = 15 * 60  # seconds
OPEN_SECONDS: Final = 30 * 60  # for so long the page of the first factor is open after its code
_CODE: Final = "enrolment_code"
_OPEN_UNTIL: Final = "enrolment_open_until"
_KEY: Final = "enrolment_key"


def mail_code(request: HttpRequest, user: User) -> None:
    """Mail the person a new code for this session; the one before it works no more."""
    code = f"{secrets.randbelow(10**8):08}"
    request.session[_CODE] = {"digest": _digest(code), "until": int(time.time()) + CODE_LIFETIME}
    mail.enqueue(
        to=user.mail_address,
        template="authentication/enrolment_code",
        language=None,
        layout="authentication/mail/code",
        context={"code": f"{code[:4]} {code[4:]}", "minutes": CODE_LIFETIME // 60},
        expires_at=timezone.now() + timedelta(seconds=CODE_LIFETIME),
    )


def is_code_mailed(request: HttpRequest) -> bool:
    """Whether a code was mailed for this session whose time is not over."""
    until: float = request.session.get(_CODE, {}).get("until", 0)
    return until > time.time()


def open_by_code(request: HttpRequest, code: str) -> None:
    """Open the page of the first factor in this session, once for each code. Raises EnrolmentCodeInvalid."""
    mailed: dict[str, Any] = request.session.get(_CODE, {})
    if not is_code_mailed(request) or not constant_time_compare(
        mailed["digest"], _digest("".join(code.split()))
    ):
        raise EnrolmentCodeInvalid
    del request.session[_CODE]
    request.session[_OPEN_UNTIL] = int(time.time()) + OPEN_SECONDS


def is_open(request: HttpRequest, user: User) -> bool:
    """Whether a factor may be added in this session now."""
    if factors.has_factor(user):
        return fresh_proof.is_fresh(request, user)
    until: float = request.session.get(_OPEN_UNTIL, 0)
    return until > time.time()


def key_for_app(request: HttpRequest) -> str:
    """The secret that the page shows until an app with it is added; the same when the page is shown again."""
    key: str = request.session.setdefault(_KEY, factors.new_totp_key())
    return key


def close(request: HttpRequest) -> None:
    """After a factor was added: forget the secret, and what opened the page."""
    for name in (_KEY, _OPEN_UNTIL, _CODE):
        request.session.pop(name, None)


def _digest(code: str) -> str:
    return salted_hmac(__name__, code, algorithm="sha256").hexdigest()
