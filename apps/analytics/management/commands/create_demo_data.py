"""`manage.py create_demo_data`: a history to look at, in a development database that has none."""

import sys
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from apps.analytics import demo_data
from apps.payments import local_stripe_import

MOST_USERS, MOST_MONTHS = 10_000, 60


class Command(BaseCommand):
    help = (
        "Fills a database without vouchers with a history: people, purchases, redemptions, refunds, disputes, batches."
        " Only with DEBUG on. A second run changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--users", type=int, default=200, metavar="N", help="buyers (%(default)s)")
        parser.add_argument(
            "--months", type=int, default=12, metavar="M", help="of 30 days each (%(default)s)"
        )
        parser.add_argument(
            "--seed",
            type=int,
            default=1,
            help="with the same one, and the same --until, all but the codes is the same (%(default)s)",
        )
        parser.add_argument(
            "--until", type=date.fromisoformat, metavar="DATE", help="the last day, YYYY-MM-DD (today)"
        )

        parser.add_argument(
            "--import-later",
            action="store_true",
            help="leave it to the local Stripe's next start to know the payments",
        )

    def handle(
        self,
        *arguments: Any,
        users: int,
        months: int,
        seed: int,
        until: date | None,
        import_later: bool = False,
        **options: Any,
    ) -> None:
        if not settings.DEBUG:
            raise CommandError("Demo data has no place in real books: it is created only with DEBUG=True.")
        if not (1 <= users <= MOST_USERS and 1 <= months <= MOST_MONTHS):
            raise CommandError(f"--users is 1 to {MOST_USERS}, --months 1 to {MOST_MONTHS}.")
        today = timezone.localdate()
        if until and until > today:
            raise CommandError("--until is today or earlier.")
        if demo_data.exists():
            self.stdout.write("The database has demo data already: nothing is changed.")
            return
        with tqdm(unit=" rows", file=sys.stderr, disable=None, leave=False) as progress:
            try:
                summary = demo_data.create(
                    users=users,
                    months=months,
                    seed=seed,
                    until=until or today,
                    on_progress=progress.update,
                )
            except demo_data.NotEmpty as error:
                raise CommandError(
                    "There are purchases, batches or vouchers in the database: demo data needs one without."
                ) from error
        counts = ", ".join(f"{number:,} {what}" for what, number in vars(summary).items())
        self.stdout.write(f"Created demo data: {counts}.")
        if local_stripe_import.is_used() and not import_later:
            self._import_payments()

    def _import_payments(self) -> None:
        """Tell the local Stripe, so that it can refund them."""
        with tqdm(unit=" payments", file=sys.stderr, disable=None, leave=False) as progress:
            try:
                number = local_stripe_import.import_payments(settings.STRIPE_API_BASE, progress.update)
            except local_stripe_import.LocalStripeAway as error:
                self.stdout.write(
                    f"The local Stripe was not told ({error}): it will know these payments once manage.py local_stripe"
                    " runs."
                )
            else:
                self.stdout.write(f"The local Stripe knows {number:,} of the payments, and can refund them.")
