"""`manage.py reset_second_factor`: for staff who lost all that they had as a second factor."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.authentication import services
from apps.users.models import User


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
        user = self._user(email)
        actor = self._user(by) if by else None
        if actor and not (actor.is_staff and actor.is_active):
            raise CommandError(f"{by} is not an active member of staff.")
        number = services.reset_second_factor(user=user, reason=reason.strip(), actor=actor)
        self.stdout.write(
            f"Removed {number} second factor{'' if number == 1 else 's'} of {user}; all sessions ended."
        )

    @staticmethod
    def _user(email: str) -> User:
        user = User.objects.filter(email=email).first()
        if user is None:
            raise CommandError(f"There is no user {email}.")
        return user
