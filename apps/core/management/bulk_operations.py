"""What commands share that carry out bulk operations themselves: progress, the end in words, and Ctrl-C."""

import sys

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.core import bulk_operations
from apps.core.management.exit_codes import INTERRUPTED
from apps.core.models import BulkOperation, BulkOperationStatus


def run_here(command: BaseCommand, operation: BulkOperation) -> None:
    """Carry out an operation to its end, with a progress bar on a terminal, and say what came of it.

    Ctrl-C stops the operation and ends the process. Raises CommandError for one that did not come to its end.
    """
    bar = tqdm(total=operation.total, unit=" rows", file=sys.stderr, disable=None, leave=False)

    def on_progress(started: BulkOperation) -> None:
        started.refresh_from_db(fields=("handled",))
        bar.update(started.handled - bar.n)

    try:
        with bar:
            bulk_operations.run(operation.pk, on_progress=on_progress)
    except KeyboardInterrupt:
        bulk_operations.stop(operation_id=operation.pk)
        command.stderr.write("Stopped. What was done stays; the same command goes on.")
        sys.exit(INTERRUPTED)
    operation.refresh_from_db()
    command.stdout.write(
        f"Operation {operation.pk}, {operation.label}: {operation.get_status_display().lower()}."
    )
    for words, number in bulk_operations.outcomes_of(operation):
        command.stdout.write(f"  {words:60}{number:>10,}")
    if operation.status != BulkOperationStatus.COMPLETED:
        why = operation.error or "Somebody else is at it, or stopped it."
        raise CommandError(f"It is not at its end: {why} What was done stays; the same command goes on.")
