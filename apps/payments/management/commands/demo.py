"""`manage.py demo`: everything that a developer needs to try the app, with one command."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

HOST = "127.0.0.1"
BUYER = ("demo@example.com", "demo-voucher-pass")
STAFF = ("staff@example.com", "staff-voucher-pass")
USERS, MONTHS = 40, 6  # of the history that a new database gets

BANNER = """
  API      http://{host}:{port}/api/
  Docs     http://{host}:{port}/api/docs/
  Admin    http://{host}:{port}/admin/
  Stripe   {stripe}

  Buyer    {buyer[0]}    password: {buyer[1]}
  Staff    {staff[0]}   password: {staff[1]}
{pay}
  Ctrl-C ends it.
"""
PAY = """
  Pay a purchase, with the client_secret that its answer gave:
    SECRET=pi_..._secret_...
    curl {stripe}/v1/payment_intents/${{SECRET%_secret_*}}/confirm \\
      -d key={key} -d client_secret=$SECRET -d payment_method=pm_card_visa
"""


class Command(BaseCommand):
    help = "Runs the app with sample data, two users and the local Stripe. Only with DEBUG on."
    requires_system_checks: list[str] = []  # migrate and runserver have them

    def add_arguments(self, parser: CommandParser) -> None:
        stripe_port = urlsplit(settings.STRIPE_API_BASE).port or 12111
        parser.add_argument("--port", type=int, default=8000, help="of the app (default: %(default)s)")
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
        local = settings.STRIPE_SECRET_KEY == "sk_test_local"
        for wanted, option in [(port, "--port"), (stripe_port, "--stripe-port")][: 1 + local]:
            _check_free(wanted, option)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        stripe = settings.STRIPE_API_BASE
        with contextlib.ExitStack() as running:
            if local:
                settings.STRIPE_API_BASE = stripe = f"http://{HOST}:{stripe_port}"
                running.enter_context(_local_stripe(port, stripe_port))
            self._prepare(users)
            pay = PAY.format(stripe=stripe, key=settings.STRIPE_PUBLISHABLE_KEY) if local else ""
            self.stdout.write(
                BANNER.format(host=HOST, port=port, buyer=BUYER, staff=STAFF, stripe=stripe, pay=pay)
            )
            self.stdout.flush()
            with open(os.devnull, "w") as nowhere:  # the banner above says it better
                call_command("runserver", f"{HOST}:{port}", use_reloader=False, stdout=nowhere)

    def _prepare(self, users: int) -> None:
        self.stdout.write("Preparing the database ...")
        with open(os.devnull, "w") as nowhere:
            call_command("migrate", verbosity=0, stdout=nowhere)
            call_command("create_sample_vouchers", stdout=nowhere)
        for (email, password), is_staff in ((BUYER, False), (STAFF, True)):
            _user(email, password, is_staff=is_staff)
        if users:
            self._create_history(users)

    def _create_history(self, users: int) -> None:
        """Give a new database a history. One that was used without it stays as it is."""
        try:
            call_command("create_demo_data", users=users, months=MONTHS, stdout=self.stdout)
        except CommandError as error:
            self.stdout.write(f"No demo data: {error}")


def _user(email: str, password: str, *, is_staff: bool) -> None:
    """The user, with that password whatever happened to it in an earlier run."""
    users = get_user_model().objects
    user = users.filter(email=email).first() or users.create_user(email=email, password=password)
    if not user.check_password(password):
        user.set_password(password)
    user.first_name, user.last_name = ("Sefa", "Staff") if is_staff else ("Demo", "Buyer")
    user.is_active, user.is_staff, user.is_superuser = True, is_staff, is_staff
    user.save()


def _check_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"Port {port} is taken, or not ours to take: choose another with {option}."
            ) from error


@contextlib.contextmanager
def _local_stripe(port: int, stripe_port: int) -> Iterator[None]:
    """The local Stripe, as a process that ends when its standard input closes: at the latest when we are gone."""
    command = [sys.executable, "-m", "local_stripe", "--port", str(stripe_port), "--exit-with-stdin"]
    webhook = f"http://{HOST}:{port}/api/payments/webhook/"
    command += ["--webhook-url", webhook, "--webhook-secret", settings.STRIPE_WEBHOOK_SECRETS[0]]
    # A session of its own, so that the terminal's Ctrl-C comes to us alone.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        start_new_session=True,
    )
    try:
        _wait_for(process, stripe_port)
        yield
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise CommandError("The local Stripe did not start.")


def _end(number: int, frame: object) -> None:
    sys.exit(0)
