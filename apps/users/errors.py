"""What can be wrong with what people tell about themselves."""

from apps.core.errors import InvalidError


class InvalidFields(InvalidError):
    """Some fields of the request are wrong, for reasons that only the database or a rule of ours knows."""

    code = "validation_error"
    detail = "The request has errors."

    def __init__(self, **fields: list[tuple[str, str]]) -> None:
        """`fields` maps the name of each wrong field to its (code, detail) pairs."""
        errors = {
            name: [{"code": code, "detail": detail} for code, detail in found]
            for name, found in fields.items()
        }
        super().__init__(errors=errors)


class WrongPassword(InvalidFields):
    """Whoever is signed in doesn't know the account's password."""
