"""What a member of staff has as a second factor: authenticator apps, passkeys, and recovery codes beside them.

Rows, codes and the check of them are django-otp's and django-otp-webauthn's. Here is what may be done with them, so
that each change is recorded in the history of the account, and its person gets a mail.

A recovery code is a factor for when the others are lost: nobody has only these. Kept are their digests.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Value
from django_otp import verify_token
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex
from django_otp_webauthn.models import WebAuthnCredential, WebAuthnUserHandle

from apps.authentication.errors import (
    EnrolmentClosed,
    SecondFactorCodeInvalid,
    SecondFactorNotEnrolled,
    TooManySecondFactors,
)
from apps.authentication.models import Session
from apps.users.models import User

from .notices import notify, record

MAX_FACTORS: Final = 10  # of one person
APP, PASSKEY, RECOVERY_CODES = "Authenticator app", "Passkey", "Recovery codes"
KINDS: Final[dict[type[Device], str]] = {TOTPDevice: APP, WebAuthnCredential: PASSKEY}
NUMBER_OF_CODES: Final = 10
CODE_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter or digit that looks like another
CODE_LENGTH: Final = 15  # 74 bits, and shorter than what a shop may sell: nobody takes one for the other
TOTP_CODE: Final = re.compile(r"\d{6}", re.ASCII)
RECOVERY_CODE: Final = re.compile(rf"[{CODE_ALPHABET}]{{{CODE_LENGTH}}}")


@dataclass(frozen=True)
class Factor:
    """A factor as its person sees it. `key` names its row; times are aware datetimes."""

    key: str
    kind: str
    name: str
    added_at: datetime | None
    last_used_at: datetime | None


def factors_of(user: User) -> list[Factor]:
    """The person's authenticator apps and passkeys, the oldest first of each."""
    return [
        Factor(row.persistent_id, kind, row.name, row.created_at, row.last_used_at)
        for model, kind in KINDS.items()
        for row in model.objects.filter(user=user, confirmed=True).order_by("pk")
    ]


def has_factor(user: User) -> bool:
    """Whether the person has an authenticator app or a passkey."""
    return any(model.objects.filter(user=user, confirmed=True).exists() for model in KINDS)


def has_passkey(user: User) -> bool:
    """Whether the person has a passkey."""
    return bool(WebAuthnCredential.objects.filter(user=user, confirmed=True).exists())


def recovery_codes_left(user: User) -> int:
    """How many recovery codes the person has that were not used."""
    return int(StaticToken.objects.filter(device__user=user).count())


# --- Checking ---------------------------------------------------------------------------------------------------------


def check_code(*, user: User, code: str) -> Device:
    """The factor whose code this is: an authenticator app's six digits, or a recovery code. It is used up.

    Raises SecondFactorCodeInvalid for a code that is wrong, used or too old, and SecondFactorNotEnrolled if the person
    has no factor. Of several uses of a code at the same instant one wins: the factor's row is locked.
    """
    if not has_factor(user):
        raise SecondFactorNotEnrolled
    symbols = re.sub(r"[\s-]", "", code).lower()
    if TOTP_CODE.fullmatch(symbols):
        rows = TOTPDevice.objects.filter(user=user, confirmed=True).order_by("pk")
        if device := _device_with_token(rows, user, symbols):
            return device
    elif RECOVERY_CODE.fullmatch(symbols):
        with transaction.atomic():
            rows = StaticDevice.objects.filter(user=user, confirmed=True)
            if device := _device_with_token(rows, user, _digest(symbols)):
                _note(user, "A recovery code was used")
                return device
    raise SecondFactorCodeInvalid


def _device_with_token(rows: Any, user: User, token: str) -> Device | None:
    device: Device
    for row in rows:
        if (device := verify_token(user, row.persistent_id, token)) is not None:
            return device
    return None


# --- Adding and removing ----------------------------------------------------------------------------------------------


def new_totp_key() -> str:
    """A new secret for an authenticator app, 20 random bytes in hexadecimal digits."""
    return str(random_hex(20))


def unsaved_app(user: User, key: str) -> TOTPDevice:
    """The authenticator app that `add_app` would add, to show its secret and address (`config_url`)."""
    return TOTPDevice(user=user, key=key)


def add_app(*, user: User, key: str, code: str) -> TOTPDevice:
    """Add the authenticator app that has the secret `key`, and shows `code` now; the code can't be used a second time.

    Raises SecondFactorCodeInvalid, TooManySecondFactors, and EnrolmentClosed if the sessions of `user` ended meanwhile.
    """

    def add() -> TOTPDevice:
        row = TOTPDevice.objects.create(user=user, key=key, name=APP)
        digits = re.sub(r"\s", "", code)
        if not TOTP_CODE.fullmatch(digits) or not row.verify_token(digits):
            raise SecondFactorCodeInvalid  # the row goes with the transaction
        return row

    return _add(user, APP, add)


def add_passkey(*, user: User, register: Callable[[], WebAuthnCredential]) -> WebAuthnCredential:
    """Add the passkey that `register` stores. Raises what it raises, and as `add_app`."""

    def add() -> WebAuthnCredential:
        row = register()
        row.name = PASSKEY
        row.save(update_fields=["name"])
        return row

    return _add(user, PASSKEY, add)


def _add(user: User, kind: str, add: Callable[[], Any]) -> Any:
    with transaction.atomic():
        # Who had this session's rights when the request came may have lost them since: it was reset, the password too.
        if _lock(user).get_session_auth_hash() != user.get_session_auth_hash():
            raise EnrolmentClosed
        if len(factors_of(user)) >= MAX_FACTORS:
            raise TooManySecondFactors
        row = add()
        _note(user, f"{kind} added as a second factor")
        return row


def make_recovery_codes(*, user: User) -> list[str]:
    """New recovery codes in place of all that there were, to be shown once. Raises SecondFactorNotEnrolled."""
    codes = [
        "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH)) for _ in range(NUMBER_OF_CODES)
    ]
    with transaction.atomic():
        _lock(user)
        if not has_factor(user):
            raise SecondFactorNotEnrolled
        # The row stays where there is one: a session that passed by one of its codes is not over.
        container, _ = StaticDevice.objects.get_or_create(user=user, defaults={"name": RECOVERY_CODES})
        container.token_set.all().delete()
        StaticToken.objects.bulk_create(StaticToken(device=container, token=_digest(code)) for code in codes)
        _note(user, "New recovery codes for the second factor were made")
    return ["-".join(re.findall(".....", code)) for code in codes]


def remove_factor(*, user: User, key: str) -> bool:
    """Take away the person's factor of this `key`; False if there is none.

    What it was the proof for has to be proved anew: sessions of the API, and those of the admin that passed by it. With
    the last factor the recovery codes go.
    """
    with transaction.atomic():
        _lock(user)
        for model, kind in KINDS.items():
            for row in model.objects.filter(user=user, confirmed=True):
                if row.persistent_id == key:
                    row.delete()
                    if not has_factor(user):
                        StaticDevice.objects.filter(user=user).delete()
                    Session.objects.filter(user=user).update(second_factor_at=None)
                    _note(user, f"{kind} removed from the second factors")
                    return True
    return False


def reset(*, user: User, reason: str, actor: User | None) -> int:
    """Take away all that the person has as a second factor, recovery codes too; how many factors that were.

    `actor` is who answers for it, as far as somebody is named. Their sessions are for the caller to end.
    """
    with transaction.atomic():
        _lock(user)
        number = len(factors_of(user))
        erase(user)
        record(user, f"Second factor reset: {reason}", actor=actor)
        notify(user, "Your second factor was reset")
    return number


def erase(user: User) -> None:
    """Delete all that is kept about the person's second factor."""
    for model in (*KINDS, StaticDevice):
        model.objects.filter(user=user).delete()
    WebAuthnUserHandle.objects.filter(user=user).delete()


def exported(user: User) -> list[dict[str, Any]]:
    """What is held about the person's second factor, for the export: nothing of what is checked by."""
    parts = [
        model.objects.filter(user=user).values_list(Value(kind), "created_at", "last_used_at")
        for model, kind in (*KINDS.items(), (StaticDevice, RECOVERY_CODES))
    ]
    rows = parts[0].union(*parts[1:], all=True)
    return [{"kind": kind, "added_at": added, "last_used_at": used} for kind, added, used in rows]


def _lock(user: User) -> User:
    """Two changes of one person's factors come one after the other; the user as they are now."""
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _note(user: User, change: str) -> None:
    record(user, f"{change}.")
    notify(user, change)


def _digest(code: str) -> str:
    """What is kept of a recovery code: 64 bits, as many as the library's column takes, of which no code follows."""
    return hashlib.sha256(code.encode()).hexdigest()[:16]
