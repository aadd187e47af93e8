"""`manage.py change_batch`: holds, releases or voids all vouchers of a batch, or gives them to another owner."""

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import bulk_operations
from apps.core.errors import DomainError
from apps.core.management.arguments import checked_reason
from apps.core.management.bulk_operations import run_here
from apps.core.models import BulkOperation
from apps.users.management.arguments import staff_called, user_called
from apps.users.models import User
from apps.vouchers.management.arguments import batch_called
from apps.vouchers.models import Batch
from apps.vouchers.services import batch_changes
from apps.vouchers.services.batch_changes import BatchChange, Outcome

MAX_REASON_LENGTH: Final = 500


class Command(BaseCommand):
    help = (
        "Holds every voucher of a batch, releases what was held so, voids them, or gives them to another owner; "
        "used, void and refunded ones are left alone and counted apart. Without --apply it only says what it would do. "
        "Stopped in the middle, the same command goes on; done again, it changes nothing more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", required=True, metavar="BATCH", help="its label or number")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--hold", action="store_true", help="suspend them, so that none can be redeemed")
        what.add_argument("--release", action="store_true", help="let go what was held with the batch")
        what.add_argument("--void", action="store_true", help="end them for good")
        what.add_argument("--reassign", metavar="EMAIL", help="give them to this user")
        parser.add_argument("--reason", required=True, help="for the history of each voucher")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="the member of staff who decided it")
        parser.add_argument("--apply", action="store_true", help="do it")

    def handle(
        self,
        *,
        batch: str,
        reason: str,
        hold: bool,
        release: bool,
        void: bool,
        reassign: str | None,
        by: str,
        apply: bool,
        **options: Any,
    ) -> None:
        reason = checked_reason(reason, longest=MAX_REASON_LENGTH)
        chosen, actor = batch_called(batch), staff_called(by)
        new_owner = user_called(reassign) if reassign else None
        chosen_change = {BatchChange.HOLD: hold, BatchChange.RELEASE: release, BatchChange.VOID: void}
        change = next((name for name, is_chosen in chosen_change.items() if is_chosen), BatchChange.REASSIGN)
        self._say_what_would_be_done(change, chosen, new_owner)
        if not apply:
            self.stdout.write("Nothing was changed. To do it, add --apply.")
            return
        try:
            operation = self._begin(change, chosen, actor, reason, new_owner)
        except DomainError as error:
            raise CommandError(error.detail) from error
        run_here(self, operation)

    def _say_what_would_be_done(self, change: BatchChange, batch: Batch, new_owner: User | None) -> None:
        plan = batch_changes.plan(change, batch, new_owner=new_owner)
        self.stdout.write(f"Batch {batch.pk}: {batch.label}, {plan.issued:,} of {batch.quantity:,} issued")
        for outcome, number in plan.counts.items():
            words = f"To {change.value}" if outcome == Outcome.CHANGED else outcome.label
            self.stdout.write(f"  {words:60}{number:>10,}")

    def _begin(
        self, change: BatchChange, batch: Batch, actor: User, reason: str, new_owner: User | None
    ) -> BulkOperation:
        """A new operation, or the one that the same command began and that is not at its end."""
        about: dict[str, Any] = {"actor": actor, "reason": reason, "new_owner": new_owner}
        earlier = batch_changes.unfinished(change, batch, **about)
        if earlier is not None:
            bulk_operations.resume(operation_id=earlier.pk, in_background=False)
            return earlier
        return batch_changes.start(change, batch, **about, by_operator=True, in_background=False)
