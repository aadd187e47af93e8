"""`manage.py reset_second_factor`: for staff who lost all that they had as a second factor."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.authentication import services
from apps.users.management.arguments import staff_called, user_called


class Command(BaseCommand):
    help = (
        "Takes away all second factors of an account and ends its sessions; the next sign-in to the admin sets up a new"
        " one, after a code by mail. Make sure first that it is the person who wants it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address of the account")
        parser.add_argument("--reason", required=True, help="stays in the history of the account")
        parser.add_argument("--by", metavar="EMAIL", help="the member of staff who answers for it")

    def handle(self, *arguments: Any, email: str, reason: str, by: str | None, **options: Any) -> None:
        if not reason.strip():
            raise CommandError("Say why: --reason")
        user = user_called(email)
        actor = staff_called(by) if by else None
        number = services.reset_second_factor(user=user, reason=reason.strip(), actor=actor)
        self.stdout.write(
            f"Removed {number} second factor{'' if number == 1 else 's'} of {user}; all sessions ended."
        )
