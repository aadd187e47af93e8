"""`manage.py demo`: everything that a developer needs to try the app, with one command."""

import contextlib
import os
import signal
import sys
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from apps.payments import local_stripe_import
from apps.payments.checks import LIVE_KEYS
from apps.payments.management import demo_accounts, demo_processes
from apps.payments.management.demo_processes import HOST, address_of

USERS, MONTHS = 40, 6  # of the history that a new database gets
DEFAULT_PORT = 8000
ADVICE = "make run {}={{0}}, or manage.py demo --{} {{0}}"
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

BANNER = """
  Shop     {site}/
  API      {site}/api/
  Docs     {site}/api/docs/
  Admin    {site}/admin/
  Mail     {site}/mail/
  Stripe   {stripe}

{accounts}
{pay}
  An edit of the code takes effect at once. Ctrl-C ends it.
"""
PAY = """
  Pay a purchase, with the client_secret that its answer gave:
    SECRET=pi_..._secret_...
    curl {stripe}/v1/payment_intents/${{SECRET%_secret_*}}/confirm \\
      -d key={key} -d client_secret=$SECRET -d payment_method=pm_card_visa
"""


class Command(BaseCommand):
    help = "Runs the app with sample data, an account for each role and the local Stripe. Only with DEBUG on."
    requires_system_checks: list[str] = []  # migrate and runserver have them

    def add_arguments(self, parser: CommandParser) -> None:
        stripe_port = urlsplit(settings.STRIPE_API_BASE).port or 12111
        parser.add_argument(
            "--port", type=int, default=DEFAULT_PORT, help="of the app (default: %(default)s)"
        )
        parser.add_argument(
            "--stripe-port",
            type=int,
            default=stripe_port,
            help="of the local Stripe (default: %(default)s)",
        )
        parser.add_argument(
            "--users",
            type=int,
            default=USERS,
            help="buyers of the history that a new database gets, 0 for none (default: %(default)s)",
        )

    def handle(self, *, port: int, stripe_port: int, users: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo has public passwords: it runs only with DEBUG=True.")
        if settings.STRIPE_SECRET_KEY.startswith(LIVE_KEYS):  # `make run` turns DEBUG on, whatever .env says
            raise CommandError("The demo has public passwords: it does not run with a live Stripe key.")
        local = local_stripe_import.is_used()
        demo_processes.check_free(port, "--port", ADVICE.format("PORT", "port"))
        if local:
            demo_processes.check_free(
                stripe_port, "--stripe-port", ADVICE.format("STRIPE_PORT", "stripe-port")
            )
        for number in ENDING:
            signal.signal(number, _end)
        self._prepare(users)
        with contextlib.ExitStack() as running:
            environment = addresses(port)
            if local:
                webhook_url = f"{address_of(port)}/api/payments/webhook/"
                running.enter_context(
                    demo_processes.local_stripe(stripe_port, webhook_url, self.stdout.write)
                )
                environment["STRIPE_API_BASE"] = address_of(stripe_port)
            status = demo_processes.serve(port, environment, lambda: self._greet(port, environment))
        sys.exit(status)

    def _greet(self, port: int, environment: dict[str, str]) -> None:
        stripe = environment.get("STRIPE_API_BASE", "")
        pay = PAY.format(stripe=stripe, key=settings.STRIPE_PUBLISHABLE_KEY) if stripe else ""
        self.stdout.write(
            BANNER.format(
                site=address_of(port),
                accounts=demo_accounts.accounts_text(),
                stripe=stripe or settings.STRIPE_API_BASE,
                pay=pay,
            )
        )
        self.stdout.flush()

    def _prepare(self, users: int) -> None:
        self.stdout.write("Preparing the database ...")
        self.stdout.flush()
        _check_database()
        with open(os.devnull, "w") as nowhere:
            call_command("migrate", verbosity=0, stdout=nowhere)
            call_command("create_sample_vouchers", stdout=nowhere)
        demo_accounts.create_accounts()
        if users:
            self._create_history(users)

    def _create_history(self, users: int) -> None:
        """Give a new database a history. One that was used without it stays as it is."""
        try:
            call_command(
                "create_demo_data", users=users, months=MONTHS, import_later=True, stdout=self.stdout
            )
        except CommandError as error:
            self.stdout.write(f"No demo data: {error}")


def _check_database() -> None:
    """Raise CommandError for a database that no migration can bring to this version.

    One of an older version, or whose migration was interrupted, `migrate` brings on.
    """
    name = connection.settings_dict["NAME"]
    try:
        loader = MigrationLoader(connection)
    except DatabaseError as error:
        raise CommandError(
            f"The database {name} can't be read ({error}). If it is broken, move it away and run this again."
        ) from error
    unknown = [
        f"{app}.{migration}"
        for app, migration in sorted(set(loader.applied_migrations) - set(loader.disk_migrations))
        if app in loader.migrated_apps
    ]
    if unknown:
        raise CommandError(
            f"The database {name} is of a newer version: this one does not know its {unknown[-1]}."
            " Update the code, or move the database away and run this again."
        )


def addresses(port: int) -> dict[str, str]:
    """What the web process is to know of its own address, unless the configuration has another than the default."""
    addresses = {"API_URL": "http://localhost", "FRONTEND_URL": f"http://{HOST}"}
    return {
        name: f"{start}:{port}"
        for name, start in addresses.items()
        if getattr(settings, name) == f"{start}:{DEFAULT_PORT}"
    }


def _end(number: int, frame: object) -> NoReturn:
    for each in ENDING:  # whoever presses Ctrl-C twice must not keep us from ending the others
        signal.signal(each, signal.SIG_IGN)
    sys.exit(0)
