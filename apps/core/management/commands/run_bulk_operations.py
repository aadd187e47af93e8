"""`manage.py run_bulk_operations`: carries out bulk operations here, where no worker does."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import bulk_operations
from apps.core.management.bulk_operations import run_here
from apps.core.models import BulkOperation


class Command(BaseCommand):
    help = (
        "Carries out the bulk operations that are not at their end, or one, also if it was stopped or failed. "
        "What a worker is at meanwhile is left to it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", nargs="?", type=int, help="of the operation; else all that are open")

    def handle(self, *, number: int | None, **options: Any) -> None:
        operations = BulkOperation.objects.open().order_by("pk")
        if number is not None:
            if not BulkOperation.objects.filter(pk=number).exists():
                raise CommandError(f"There is no bulk operation {number}.")
            try:
                bulk_operations.resume(operation_id=number, in_background=False)
            except (bulk_operations.OperationEnded, bulk_operations.OperationRunning) as error:
                raise CommandError(error.detail) from error
            operations = operations.filter(pk=number)
        for operation in operations:
            run_here(self, operation)
