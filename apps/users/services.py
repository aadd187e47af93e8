"""What people do with their accounts."""

import datetime
import uuid
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypedDict, Unpack

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, connection, transaction

from apps.core import email_addresses
from apps.core.languages import Language
from apps.core.prepared_queries import Subselect
from apps.core.static_sql import StaticSql

from . import passwords, personal_data, pictures, selectors, unsubscribe_links
from .errors import (
    AccountClosed,
    EmailTaken,
    InvalidFields,
    SuperuserAccount,
    UnsubscribeLinkInvalid,
    WrongPassword,
)
from .models import CLOSED_DOMAIN, EmailChange, User, UserProfile

EMAIL_TAKEN = [("unique", "There is an account with this e-mail address.")]
WRONG_PASSWORD = [("password_incorrect", "This is not your password.")]
PERSON_FIELDS = ("first_name", "last_name", "language")
PROFILE_FIELDS = ("phone_number", "address", "date_of_birth", "expiry_reminders")


class Changes(TypedDict, total=False):
    """What may be changed of one's profile; a member that is missing stays as it is."""

    first_name: str
    last_name: str
    language: str
    phone_number: str
    address: str
    date_of_birth: datetime.date | None
    profile_picture: "UploadedFile[Any] | None"
    expiry_reminders: bool


def why_unusable(email: str) -> tuple[str, str] | None:
    """Code and words of why no account can have this normalized address, whoever has it; None if one can."""
    if email.endswith(f"@{CLOSED_DOMAIN}"):
        return "invalid", "Mail can't be sent to this address."
    if len(email) > email_addresses.MAX_LENGTH:  # some letters are longer in lower case
        return "max_length", "This address is too long."
    return None


def create_account(
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    phone_number: str = "",
    language: str = Language.EN,
) -> User:
    """A new user with a profile, who is written to in `language`.

    Raises EmailTaken: `email` (`unique`) if the address is taken, also by a request at the same instant, which tells
    of a wrong password too; and InvalidFields: `email` (`invalid`) for one of those that closed accounts get, and
    `password` with the codes of all password rules that it breaks.
    """
    email = User.objects.normalize_email(email)
    wrong = {}
    if unusable := why_unusable(email):
        raise InvalidFields(email=[unusable])
    if broken := _broken_rules(password, User(email=email, first_name=first_name, last_name=last_name)):
        wrong["password"] = broken
    if selectors.is_taken(email):
        raise EmailTaken(**wrong, email=EMAIL_TAKEN)
    if wrong:
        raise InvalidFields(**wrong)
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                email, password, first_name=first_name, last_name=last_name, language=language
            )
            if phone_number:
                user.profile.phone_number = phone_number
                user.profile.save(update_fields=["phone_number"])
    except IntegrityError:
        if not selectors.is_taken(email):
            raise
        raise EmailTaken(email=EMAIL_TAKEN) from None
    return user


def change_password(*, user: User, old_password: str, new_password: str) -> None:
    """Give `user`, who knows the old password, a new one.

    Raises WrongPassword: `old_password` (`password_incorrect`), and InvalidFields: `new_password` with the codes
    of all password rules that it breaks. Of two changes at the same instant one wins; to the other the old
    password is wrong.
    """
    if not user.check_password(old_password):
        raise WrongPassword(old_password=WRONG_PASSWORD)
    if broken := _broken_rules(new_password, user):
        raise InvalidFields(new_password=broken)
    known = user.password
    user.set_password(new_password)
    if not User.objects.filter(pk=user.pk, password=known).update(password=user.password):
        raise WrongPassword(old_password=WRONG_PASSWORD)
    EmailChange.objects.filter(user=user).delete()  # without effect now, as the password is another


def reset_password(*, user: User, new_password: str) -> bool:
    """Give `user`, who proved by a link who they are, a new password.

    False if it changed since `user` was read, or the address to which the link was mailed.

    Raises InvalidFields: `password` with the codes of all password rules that it breaks.
    """
    if broken := _broken_rules(new_password, user):
        raise InvalidFields(password=broken)
    known = user.password
    user.set_password(new_password)
    unchanged = User.objects.filter(pk=user.pk, email=user.email, password=known, is_active=True)
    if not unchanged.update(password=user.password):
        return False
    EmailChange.objects.filter(user=user).delete()  # without effect now, as the password is another
    return True


def deactivate(*, user: User) -> None:
    """Shut `user` out: every session ends at once (see authentication/signals.py)."""
    user.is_active = False
    user.save(update_fields=["is_active"])


def lock_open_account(*, user: User, alone: bool = False) -> None:
    """Keep the account from being closed until the caller's transaction ends; it begins with this.

    So what a person writes is there when the account is closed, and erased with it, or is not written. Any number of
    transactions may do this at once, but for those that do it `alone`: of an account they run one after the other.
    Raises AccountClosed.
    """
    if not _locks_open(Subselect("%s", [user.pk]), alone=alone):
        raise AccountClosed


def stays_open(*, user_id: Subselect) -> bool:
    """Whether the account is open; if so, it is kept from being closed until the caller's transaction ends.

    `user_id` selects its number, in the same query; where it selects none, there is no open account.
    """
    return _locks_open(user_id)


def _locks_open(user_id: Subselect, *, alone: bool = False) -> bool:
    """Whether the user is active, whose row nobody changes until the caller's transaction ends.

    Others may lock it so too, unless `alone`. False if it is gone.
    """
    lock = ""
    if connection.vendor == "postgresql":  # SQLite has one writer at a time anyway
        lock = " FOR NO KEY UPDATE" if alone else " FOR SHARE"
    with connection.cursor() as cursor:
        cursor.execute(_user_sql(user_id.sql, lock), user_id.parameters)
        row = cursor.fetchone()
    return bool(row and row[0])


@lru_cache(maxsize=8)
def _user_sql(user_id: str, lock: str) -> StaticSql:
    return StaticSql(f"SELECT is_active FROM users_user WHERE id = {user_id}{lock}")  # noqa: S608 - text of ours


def close_account(*, user: User, password: str) -> None:
    """Close the account of `user`, who knows its password, and erase all that says who they are.

    The row stays, as the books refer to it; the address is free for a new account. Each app erases its own
    part (see personal_data.py). Raises WrongPassword (`password`) and SuperuserAccount.
    """
    if not user.check_password(password):
        raise WrongPassword(password=WRONG_PASSWORD)
    if user.is_superuser:
        raise SuperuserAccount
    with transaction.atomic():
        # The user's row first: what `lock_open_account` began is there, and erased below; what begins later is refused.
        unchanged = User.objects.filter(
            pk=user.pk, password=user.password, is_active=True, is_superuser=False
        )
        closed = unchanged.update(
            email=f"closed-{uuid.uuid4().hex}@{CLOSED_DOMAIN}",
            first_name="",
            last_name="",
            language=Language.EN,
            password=make_password(None),
            is_active=False,
            is_staff=False,
            last_login=None,
        )
        if not closed:
            raise WrongPassword(password=WRONG_PASSWORD)
        personal_data.erase(user)


def erase_profile(*, user: User) -> None:
    """Empty the profile, also in the admin's log; the picture's file goes after the commit."""
    picture = UserProfile.objects.select_for_update().get(user=user).profile_picture.name
    if picture:
        transaction.on_commit(pictures.deleter_for(picture), robust=True)
    UserProfile.objects.filter(user=user).update(
        phone_number="", address="", date_of_birth=None, profile_picture=""
    )
    user.groups.clear()
    user.user_permissions.clear()
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User))
    entries.filter(object_id=str(user.pk)).update(object_repr=f"User {user.pk}")  # it was the address


def update_profile(*, user: User, **changes: Unpack[Changes]) -> User:
    """Change the named fields of one's own profile and no others. Returns the user as now stored.

    A picture is stored anew and the one before is removed after the commit; None removes it.
    Raises InvalidFields with the field `profile_picture` if the upload is not a picture that we take, and
    AccountClosed if there is no such account any more.
    """
    person = {name: changes[name] for name in PERSON_FIELDS if name in changes}  # type: ignore[literal-required]
    profile = {name: changes[name] for name in PROFILE_FIELDS if name in changes}  # type: ignore[literal-required]
    stored = ""
    if "profile_picture" in changes:
        stored = _keep(changes["profile_picture"])
        profile["profile_picture"] = stored
    try:
        with transaction.atomic():
            # The user's row first, as in close_account: nothing comes back into an account that was just closed.
            if not User.objects.select_for_update().filter(pk=user.pk, is_active=True).exists():
                raise AccountClosed
            if person:
                User.objects.filter(pk=user.pk).update(**person)
            if profile:
                # Locked, so that of two pictures at the same instant each sees which one it replaces.
                before = UserProfile.objects.select_for_update().get(user=user).profile_picture.name
                UserProfile.objects.filter(user=user).update(**profile)
                if "profile_picture" in profile and before:
                    transaction.on_commit(pictures.deleter_for(before), robust=True)
    except BaseException:
        if stored:
            with suppress(OSError):
                pictures.deleter_for(stored)()
        raise
    return selectors.user_with_profile(user.pk)


def turn_off_reminders(*, token: str) -> None:
    """Mail no more reminders to the user whom the token of a reminder names; done again, it changes nothing.

    Raises UnsubscribeLinkInvalid.
    """
    user_id = unsubscribe_links.user_id_of(token)
    if user_id is None or not UserProfile.objects.filter(user_id=user_id).update(expiry_reminders=False):
        raise UnsubscribeLinkInvalid


def _keep(upload: "UploadedFile[Any] | None") -> str:
    if upload is None:
        return ""
    try:
        return pictures.store_picture(upload)
    except pictures.PictureRefused as refused:
        raise InvalidFields(profile_picture=[(refused.code, refused.detail)]) from refused


def _broken_rules(password: str, user: User) -> list[tuple[str, str]]:
    """The (code, detail) of every rule that a new password of `user` breaks."""
    try:
        validate_password(passwords.normalised(password), user)
    except ValidationError as error:
        return [(problem.code or "invalid", " ".join(problem.messages)) for problem in error.error_list]
    return []
