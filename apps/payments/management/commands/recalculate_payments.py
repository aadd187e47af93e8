"""Bring all payments in line with the rules on refunds and disputes as they are now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.payments.services.bulk_recalculation import recalculate_payments

REASON = "Recalculated by today's rules"


class Command(BaseCommand):
    help = (
        "Derive amounts, status and holds of every payment with refunds or disputes anew, after an upgrade that changed"
        " the rules. Changes nothing unless --apply; done again, it finds nothing more to change."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="write what follows")

    def handle(self, *arguments: Any, **options: Any) -> None:
        apply, checked, changed = options["apply"], 0, 0
        for transaction_id, changes in recalculate_payments(apply=apply, reason=REASON):
            checked += 1
            if changes:
                changed += 1
                self.stdout.write(f"Transaction {transaction_id}: {'changed' if apply else 'would change'}")
        self.stdout.write(f"Checked payments: {checked}, {'changed' if apply else 'to change'}: {changed}.")
