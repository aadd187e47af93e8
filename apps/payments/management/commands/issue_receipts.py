"""Issue the receipts of sales that have none."""

from typing import Any

from django.core.management.base import BaseCommand

from apps.payments import services


class Command(BaseCommand):
    help = (
        "Issue a receipt for every completed sale that has none, in the order of completion, with the seller that is"
        " set now. Done again, it finds no more; an hourly job does the same for the sales of a week."
    )

    def handle(self, *arguments: Any, **options: Any) -> None:
        number = sum(services.issue_missing_receipts())
        erased = services.erase_buyers_of_closed_accounts()
        self.stdout.write(f"Receipts issued: {number}. Buyers of closed accounts erased: {erased}.")
