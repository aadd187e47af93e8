"""What people do with their accounts."""

import datetime
from contextlib import suppress
from typing import Any, TypedDict, Unpack

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction

from . import passwords, pictures, selectors
from .errors import InvalidFields, WrongPassword
from .models import User, UserProfile

EMAIL_TAKEN = [("unique", "There is an account with this e-mail address.")]
WRONG_PASSWORD = [("password_incorrect", "This is not your password.")]
PERSON_FIELDS = ("first_name", "last_name")
PROFILE_FIELDS = ("phone_number", "address", "date_of_birth")


class Changes(TypedDict, total=False):
    """What may be changed of one's profile; a member that is missing stays as it is."""

    first_name: str
    last_name: str
    phone_number: str
    address: str
    date_of_birth: datetime.date | None
    profile_picture: "UploadedFile[Any] | None"


def create_account(
    *, email: str, password: str, first_name: str, last_name: str, phone_number: str = ""
) -> User:
    """A new user with a profile.

    Raises InvalidFields: `email` (`unique`) if the address is taken, also by a request at the same instant,
    and `password` with the codes of all password rules that it breaks.
    """
    email = User.objects.normalize_email(email)
    wrong = {}
    if broken := _broken_rules(password, User(email=email, first_name=first_name, last_name=last_name)):
        wrong["password"] = broken
    if selectors.is_taken(email):
        wrong["email"] = EMAIL_TAKEN
    if wrong:
        raise InvalidFields(**wrong)
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, first_name=first_name, last_name=last_name)
            if phone_number:
                user.profile.phone_number = phone_number
                user.profile.save(update_fields=["phone_number"])
    except IntegrityError:
        if not selectors.is_taken(email):
            raise
        raise InvalidFields(email=EMAIL_TAKEN) from None
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


def update_profile(*, user: User, **changes: Unpack[Changes]) -> User:
    """Change the named fields of one's own profile and no others. Returns the user as now stored.

    A picture is stored anew and the one before is removed after the commit; None removes it.
    Raises InvalidFields with the field `profile_picture` if the upload is not a picture that we take.
    """
    person = {name: changes[name] for name in PERSON_FIELDS if name in changes}  # type: ignore[literal-required]
    profile = {name: changes[name] for name in PROFILE_FIELDS if name in changes}  # type: ignore[literal-required]
    stored = ""
    if "profile_picture" in changes:
        stored = _keep(changes["profile_picture"])
        profile["profile_picture"] = stored
    try:
        with transaction.atomic():
            if person:
                User.objects.filter(pk=user.pk).update(**person)
            if profile:
                # Locked, so that of two pictures at the same instant each sees which one it replaces.
                before = UserProfile.objects.select_for_update().get(user=user).profile_picture.name
                UserProfile.objects.filter(user=user).update(**profile)
                if "profile_picture" in profile and before:
                    transaction.on_commit(pictures.removal_of(before), robust=True)
    except BaseException:
        if stored:
            with suppress(OSError):
                pictures.removal_of(stored)()
        raise
    return selectors.user_with_profile(user.pk)


def _keep(upload: "UploadedFile[Any] | None") -> str:
    if upload is None:
        return ""
    try:
        return pictures.keep(upload)
    except pictures.PictureRefused as refused:
        raise InvalidFields(profile_picture=[(refused.code, refused.detail)]) from refused


def _broken_rules(password: str, user: User) -> list[tuple[str, str]]:
    """The (code, detail) of every rule that a new password of `user` breaks."""
    try:
        validate_password(passwords.normalised(password), user)
    except ValidationError as error:
        return [(found.code or "invalid", " ".join(found.messages)) for found in error.error_list]
    return []
