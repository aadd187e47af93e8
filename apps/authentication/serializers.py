"""What signing up, in and out takes and answers."""

from typing import Any

from rest_framework import serializers

from apps.core.api.fields import UTCDateTimeField
from apps.users import passwords
from apps.users.serializers import (
    EmailAddressField,
    LanguageField,
    LastNameField,
    NameField,
    PhoneNumberField,
    UserOutput,
)

from . import devices


class PasswordField(serializers.CharField):
    """A password, untrimmed; one too long to be worth hashing is refused here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=passwords.MAX_LENGTH,
            trim_whitespace=False,
            style={"input_type": "password"},
            write_only=True,
            **options,
        )


class TokenField(serializers.CharField):
    """A token; null or an empty string for none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_null=True, allow_blank=True, default="", **options)


class RegisterInput(serializers.Serializer[Any]):
    email = EmailAddressField()
    password = PasswordField()
    password_confirm = PasswordField()
    first_name = NameField()
    last_name = LastNameField(default="")
    phone_number = PhoneNumberField()
    language = LanguageField(
        help_text="Of the mails to this person. Left out, the first that Accept-Language names and we have, or English."
    )
    use_cookies = serializers.BooleanField(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _must_match(attrs["password"], attrs.pop("password_confirm"), "password_confirm")
        return attrs


class LoginInput(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = PasswordField()
    use_cookies = serializers.BooleanField(default=False)
    device_token = TokenField(
        max_length=devices.MAX_LENGTH,
        help_text="As an earlier sign-in to this account answered it: proves that this device was signed in before.",
    )


class RefreshInput(serializers.Serializer[Any]):
    refresh = TokenField(help_text="May be left to the cookie.")


class VerifyInput(serializers.Serializer[Any]):
    token = serializers.CharField()


class LogoutInput(serializers.Serializer[Any]):
    refresh = TokenField(help_text="Names the session to end; without it, it is the session that asks.")
    everywhere = serializers.BooleanField(default=False, help_text="End all sessions.")


class ChangePasswordInput(serializers.Serializer[Any]):
    old_password = PasswordField()
    new_password = PasswordField()
    confirm_password = PasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _must_match(attrs["new_password"], attrs.pop("confirm_password"), "confirm_password")
        return attrs


class CloseAccountInput(serializers.Serializer[Any]):
    password = PasswordField()


class PasswordResetInput(serializers.Serializer[Any]):
    email = EmailAddressField()


class PasswordResetConfirmInput(serializers.Serializer[Any]):
    uid = serializers.CharField(max_length=100, help_text="From the link.")
    token = serializers.CharField(max_length=100, help_text="From the link.")
    password = PasswordField()
    password_confirm = PasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _must_match(attrs["password"], attrs.pop("password_confirm"), "password_confirm")
        return attrs


class ResendConfirmationInput(serializers.Serializer[Any]):
    email = EmailAddressField()


class ChangeEmailInput(serializers.Serializer[Any]):
    new_email = EmailAddressField()
    password = PasswordField()


class EmailLinkInput(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200, help_text="From the link.")


class EmailChangeOutput(serializers.Serializer[Any]):
    new_email = serializers.EmailField(allow_null=True, help_text="Null where no change waits.")
    expires_at = UTCDateTimeField(allow_null=True)


class MessageOutput(serializers.Serializer[Any]):
    message = serializers.CharField()


class TokensOutput(serializers.Serializer[Any]):
    access = serializers.CharField(required=False, help_text="Left out when the tokens come as cookies.")
    refresh = serializers.CharField(required=False, help_text="Left out when the tokens come as cookies.")


class PasswordChangedOutput(TokensOutput):
    message = serializers.CharField()


class EmailChangedOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    access = serializers.CharField(
        required=False, help_text="Where the request was signed in to this account by a token."
    )
    refresh = serializers.CharField(required=False, help_text="As `access`.")


class SignedInOutput(TokensOutput):
    user = UserOutput()
    message = serializers.CharField()
    device_token = serializers.CharField(
        required=False,
        help_text="To be kept, and sent with the next sign-in to this account. Left out when it comes as a cookie.",
    )


def _must_match(password: str, again: str, field: str) -> None:
    if passwords.normalised(password) != passwords.normalised(again):
        raise serializers.ValidationError(
            {field: [serializers.ErrorDetail("The two passwords differ.", "password_mismatch")]}
        )


class SecondFactorInput(serializers.Serializer[Any]):
    code = serializers.CharField(
        max_length=40,
        help_text="The six digits that the authenticator app shows now, or a recovery code. Each works once.",
    )
