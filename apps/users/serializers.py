"""The `user` object, and what may be changed of it."""

import datetime
import re
from typing import Any

from django.core.validators import RegexValidator
from django.utils import timezone
from rest_framework import serializers

from apps.core import email_addresses
from apps.core.api.fields import UTCDateTimeField
from apps.core.languages import Language

from . import personal_data
from .models import User

# Patterns are published in the OpenAPI document: for an expression that another language reads the same way, and
# in linear time, they have no look-around, no inversion, and nothing whose meaning varies, such as \d. Nor do they name
# a line separator (U+2028, U+2029): generators of clients write it out, and their JavaScript does not compile.
_SPACES = r" \xa0\u1680\u2000-\u200a\u202f\u205f\u3000\ufeff"  # within a line; U+FEFF is one in JavaScript
_VISIBLE = r"[^\s\ufeff\x00-\x1f\x7f-\x9f]"
_BETWEEN_DIGITS = "[ ()./#*x-]*"
ONE_LINE = RegexValidator(rf"\A(?:{_VISIBLE}|[{_SPACES}])*\Z", "One line of text.")
ONE_LINE_OF_TEXT = RegexValidator(
    rf"\A[{_SPACES}]*{_VISIBLE}(?:{_VISIBLE}|[{_SPACES}])*\Z", "One line of text."
)
PHONE_NUMBER = RegexValidator(
    rf"\A(?:[0-9]|\+{_BETWEEN_DIGITS}[0-9]){_BETWEEN_DIGITS}[0-9]{_BETWEEN_DIGITS}[0-9][0-9 ()./#*x-]*\Z",
    "A phone number: digits, spaces and + ( ) . / - # * x.",
)
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
EARLIEST_BIRTH = datetime.date(1900, 1, 1)


class EmailAddressField(serializers.EmailField):
    """An e-mail address that can be mailed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=email_addresses.MAX_LENGTH, validators=[email_addresses.validate_mailable], **options
        )


class NameField(serializers.CharField):
    """A first name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=150, validators=[ONE_LINE_OF_TEXT], **options)


class OptionalTextField(serializers.CharField):
    """A text, or nothing: an empty string, for which clients also send null."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_blank=True, allow_null=True, **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation("" if data is None else data)


class LastNameField(OptionalTextField):
    """A last name, or nothing for people who have one name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=150, validators=[ONE_LINE], **options)


class PhoneNumberField(OptionalTextField):
    """A phone number as people write it, or nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=32, validators=[PHONE_NUMBER], **options)


class BirthDateField(serializers.DateField):
    """A day from 1900 until today; null or an empty string for none."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return super().validate_empty_values(None if data == "" else data)

    def to_internal_value(self, value: Any) -> datetime.date:
        if not isinstance(value, str) or not ISO_DAY.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DD")
        date: datetime.date = super().to_internal_value(value)
        if date > timezone.localdate():
            raise serializers.ValidationError("This day is yet to come.", "in_future")
        if date < EARLIEST_BIRTH:
            raise serializers.ValidationError("This day is before 1900.", "too_early")
        return date


class PictureField(serializers.FileField):
    """A picture as a part of a form; null or an empty string removes it."""

    def to_internal_value(self, data: Any) -> Any:
        return None if data == "" else super().to_internal_value(data)


class SwitchField(serializers.BooleanField):
    """On or off. Left out it stays as it is, in a form too: that of a browser sends nothing for off."""

    default_empty_html = serializers.empty


class LanguageField(serializers.ChoiceField):
    """A language that mails are written in."""

    def __init__(self, *, help_text: str = "Of the mails to this person.") -> None:
        super().__init__(Language.choices, required=False, help_text=help_text)


class ProfileInput(serializers.Serializer[Any]):
    """Other members, such as `email` and `is_staff`, are read-only and ignored."""

    first_name = NameField()
    last_name = LastNameField()
    phone_number = PhoneNumberField()
    address = OptionalTextField(max_length=500)
    date_of_birth = BirthDateField(allow_null=True, required=False)
    profile_picture = PictureField(allow_null=True, required=False)
    expiry_reminders = SwitchField(required=False, help_text="Whether to mail before vouchers expire.")
    language = LanguageField()

    def to_internal_value(self, data: Any) -> Any:
        """A client that sends back its answer sends the picture's own address: it stays as it is."""
        if (
            isinstance(data, dict)
            and isinstance(data.get("profile_picture"), str)
            and data["profile_picture"]
        ):
            request = self.context["request"]
            if data["profile_picture"] == picture_url(request.user, request):
                data = {name: value for name, value in data.items() if name != "profile_picture"}
        return super().to_internal_value(data)


class ProfileJsonInput(ProfileInput):
    """For the OpenAPI document: what the same is as JSON, which carries no file."""

    profile_picture = serializers.URLField(  # type: ignore[assignment]
        allow_null=True,
        required=False,
        help_text="Null removes the picture; its own address leaves it. A new one needs multipart/form-data.",
    )


class UnsubscribeInput(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200)


class ExportOutput(serializers.Serializer[Any]):
    """By part: each app registers its own (personal_data.py), and their members are not described."""

    exported_at = UTCDateTimeField()
    profile = serializers.DictField()

    def get_fields(self) -> dict[str, Any]:
        lists = {
            name: serializers.ListField(child=serializers.DictField())
            for name in personal_data.names()
            if name != "profile"
        }
        return super().get_fields() | lists


class UserOutput(serializers.Serializer[User]):
    id = serializers.IntegerField()
    email = serializers.EmailField()
    email_confirmed = serializers.BooleanField(
        help_text="Whether a link that was mailed there was followed. Until then no codes are mailed."
    )
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    full_name = serializers.CharField()
    phone_number = serializers.CharField(source="profile.phone_number")
    address = serializers.CharField(source="profile.address")
    date_of_birth = serializers.DateField(source="profile.date_of_birth", allow_null=True)
    profile_picture = serializers.SerializerMethodField()
    expiry_reminders = serializers.BooleanField(source="profile.expiry_reminders")
    language = serializers.ChoiceField(choices=Language.choices)
    is_staff = serializers.BooleanField()
    date_joined = UTCDateTimeField()

    def get_profile_picture(self, user: User) -> str | None:
        return picture_url(user, self.context["request"])


def picture_url(user: User, request: Any) -> str | None:
    """The whole address of a user's picture, or None."""
    picture = user.profile.profile_picture
    return request.build_absolute_uri(picture.url) if picture else None
