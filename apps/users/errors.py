"""What can be wrong with what people tell about themselves."""

from apps.core.errors import ConflictError, ForbiddenError, InvalidError, first_of


class InvalidFields(InvalidError):
    """Some fields of the request are wrong, for reasons that only the database or a rule of ours knows."""

    code = "validation_error"
    detail = "The request has errors."

    def __init__(self, **fields: list[tuple[str, str]]) -> None:
        """`fields` maps the name of each wrong field to its (code, detail) pairs."""
        errors = {
            name: [{"code": code, "detail": detail} for code, detail in problems]
            for name, problems in fields.items()
        }
        super().__init__(first_of(errors), errors=errors)


class EmailTaken(InvalidFields):
    """Somebody has an account with this address already; perhaps another field is wrong too."""


class WrongPassword(InvalidFields):
    """Whoever is signed in doesn't know the account's password."""


class UnsubscribeLinkInvalid(InvalidError):
    code = "unsubscribe_link_invalid"
    detail = "This is not a link of ours. Reminders can be turned off in the profile, too."


class ConfirmationLinkInvalid(InvalidError):
    """The same for a link that is malformed, forged or too old, and for an account with another address by now."""

    code = "confirmation_link_invalid"
    detail = "This link is not valid any more. Please ask for a new one."


class EmailAlreadyConfirmed(ConflictError):
    code = "email_already_confirmed"
    detail = "This address is confirmed already: there is nothing left to do."


class EmailChangeLinkInvalid(InvalidError):
    """The same for a link that is malformed, forged or too old, and for a change that was made or stopped."""

    code = "email_change_link_invalid"
    detail = "This link is not valid any more: the change was made or stopped, or its time is over."


class NewEmailTaken(ConflictError):
    """Between asking for an address and following the link there, somebody else has got it."""

    code = "email_taken"
    detail = "Another account has this address by now."


class StaffAddress(ConflictError):
    """An address by which staff sign in; whoever gets its links for a new password has their rights."""

    code = "staff_address"
    detail = "The address of staff is changed in the admin, by a superuser."


class SuperuserAccount(ConflictError):
    """The account of a superuser, who would lock everybody out of the admin by closing it."""

    code = "superuser_account"
    detail = "A superuser's account is closed in the admin, by another superuser."


class AccountClosed(ConflictError):
    """The account was closed or deactivated while the request was on its way."""

    code = "account_closed"
    detail = "This account has been closed."


class SecondFactorRequired(ForbiddenError):
    """What staff may do is for sessions that passed the second factor."""

    code = "second_factor_required"
    detail = "Staff powers need the second factor: send a code to /api/auth/second-factor/ first."
