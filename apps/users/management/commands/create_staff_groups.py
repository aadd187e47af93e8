"""`manage.py create_staff_groups`: the ready groups of staff, such as the desk and finance."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.users import staff_groups


class Command(BaseCommand):
    help = "Makes the ready groups of staff, or adds what they lack, and says what changed. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reset",
            action="store_true",
            help="also take away what a group has besides its ready permissions",
        )

    def handle(self, *arguments: Any, reset: bool, **options: Any) -> None:
        for changes in staff_groups.create_staff_groups(reset=reset):
            changed = changes.is_new or changes.added or changes.removed
            state = "created" if changes.is_new else "changed" if changed else "as it should be"
            self.stdout.write(f"{changes.name}: {state}")
            for sign, codenames in (("+", changes.added), ("-", changes.removed)):
                for codename in codenames:
                    self.stdout.write(f"  {sign} {codename}")
            for codename in changes.missing:
                self.stderr.write(f"  {codename} does not exist here and is left out: has migrate run?")
