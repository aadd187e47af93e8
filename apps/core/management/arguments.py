"""What commands share of their arguments."""

from django.core.management.base import CommandError


def checked_reason(text: str, *, longest: int) -> str:
    """The value of `--reason` without blanks around it: one line of at most `longest` characters.

    Raises CommandError for any other.
    """
    reason = text.strip()
    if not 1 <= len(reason) <= longest or not reason.isprintable():
        raise CommandError(f"--reason has 1 to {longest} characters, none of them a control character.")
    return reason
