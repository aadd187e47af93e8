"""`manage.py local_stripe`: the local Stripe for this database, where the application is started by hand."""

import signal
import sys
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from apps.payments import local_stripe_import
from apps.payments.management import demo_processes


class Command(BaseCommand):
    help = (
        "Runs the local Stripe with its memory in a file beside the database, and tells it of the payments of the books"
        " that it does not know. Only with DEBUG on and without keys of a real account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port",
            type=int,
            default=urlsplit(settings.STRIPE_API_BASE).port or 12111,
            help="another one needs STRIPE_API_BASE to name it, too (default: %(default)s)",
        )

    def handle(self, *, port: int, **options: Any) -> None:
        if not (settings.DEBUG and local_stripe_import.is_used()):
            raise CommandError(
                "The local Stripe is for development: DEBUG=True, and no STRIPE_SECRET_KEY of a real account."
            )
        demo_processes.check_free(port, "--port", "manage.py local_stripe --port {}")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        webhook_url = f"{settings.API_URL}/api/payments/webhook/"
        try:
            with demo_processes.local_stripe(port, webhook_url, self.stdout.write) as process:
                address = demo_processes.address_of(port)
                self.stdout.write(
                    f"The local Stripe is at {address}, and calls {webhook_url}. Ctrl-C ends it."
                )
                self.stdout.flush()
                status = process.wait()
        except DatabaseError as error:
            raise CommandError(
                f"The database can't be read ({error}): manage.py migrate comes first."
            ) from error
        sys.exit(status)


def _end(number: int, frame: object) -> NoReturn:
    sys.exit(0)
