"""Holding, releasing, voiding and reassigning the vouchers of a whole batch, as bulk operations.

Each voucher is judged under its lock, so a redemption that was first counts. What a change does not apply to is left
as it is and counted apart: used up, void or refunded ones, and those that are as wanted already.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from functools import partial, reduce
from operator import or_
from typing import Any, Final

from django.db import models, transaction
from django.db.models import Count, Max, Q, QuerySet

from apps.core import bulk_operations
from apps.core.bulk_operation_models import subject_of
from apps.core.logs import redact
from apps.core.models import BulkOperation, BulkOperationStatus
from apps.users.errors import AccountClosed
from apps.users.models import User
from apps.users.services import lock_open_account
from apps.vouchers.errors import BatchIncomplete, OwnerInactive
from apps.vouchers.models import Batch, Voucher, VoucherEvent
from apps.vouchers.states import Hold, VoucherEventKind

from . import code_exports
from .holds import change_holds, lock_vouchers
from .owner_notices import Changed, StaffAct, tell_owners_at_the_end
from .reassignment import announce, reassign_vouchers

CHUNK: Final = 1000  # redeems of these vouchers wait for it: less than half a second
OWNERS: Final = (
    "owners"  # in the parameters of an operation: whose vouchers it changed so far, until they are told
)
OPERATION: Final = "bulk_operation"  # in the details of an event: the number of the operation that caused it


class BatchChange(models.TextChoices):
    """What can be done to all vouchers of a batch."""

    HOLD = "hold"
    RELEASE = "release"
    VOID = "void"
    REASSIGN = "reassign"

    @property
    def kind(self) -> str:
        """The kind of its bulk operations."""
        return f"vouchers.{self.value}_batch"

    @property
    def permission(self) -> str:
        """What it needs: who may hold a batch may release it."""
        return {
            BatchChange.VOID: "vouchers.void_batch",
            BatchChange.REASSIGN: "vouchers.reassign_batch",
        }.get(self, "vouchers.hold_batch")


class Outcome(models.TextChoices):
    """What becomes of a voucher, in the order in which it is shown; `_outcome` says which of them comes first."""

    CHANGED = "changed"
    UNCHANGED = "unchanged", "Left alone: as wanted already"
    VOIDED = "voided", "Left alone: void"
    REFUNDED = "refunded", "Left alone: refunded"
    USED_UP = "used_up", "Left alone: used up"
    HELD_SINGLY = "held_singly", "Left alone: suspended by themselves, not with the batch"


@dataclass(frozen=True)
class BatchPlan:
    """What a change would do to a batch now: how many vouchers it has, and of these how many have each outcome."""

    issued: int
    counts: dict[Outcome, int]


def plan(change: BatchChange, batch: Batch, *, new_owner: User | None = None) -> BatchPlan:
    """The dry run: what `start` would do, counted by the database."""
    conditions = _conditions(change, new_owner.pk if new_owner else None)
    vouchers = Voucher.objects.filter(batch=batch).order_by()
    row = vouchers.aggregate(
        issued=Count("pk"), **{name.value: Count("pk", filter=which) for name, which in conditions.items()}
    )
    counts = {outcome: row[outcome.value] for outcome in Outcome if outcome in conditions}
    if change == BatchChange.RELEASE:
        with_batch = vouchers.filter(conditions[Outcome.CHANGED], pk__in=_held_with(batch)).count()
        counts[Outcome.HELD_SINGLY] = counts[Outcome.CHANGED] - with_batch
        counts[Outcome.CHANGED] = with_batch
    return BatchPlan(row["issued"], counts)


def start(
    change: BatchChange,
    batch: Batch,
    *,
    actor: User,
    reason: str,
    new_owner: User | None = None,
    by_operator: bool = False,
    in_background: bool = True,
) -> BulkOperation:
    """Begin to change all vouchers of a batch; `new_owner` is who has them, and reads their codes, after REASSIGN.

    Codes in the reason are masked. A voucher that is issued later is not changed. Raises OperationRunning while another
    operation on the batch is open, and to reassign OwnerInactive, or BatchIncomplete as the rest is issued to the first
    owner. Above the amount of exports of codes, to reassign uses up an approved request of the actor for them; without
    one SecondPersonNeeded is raised, unless `by_operator`: whoever runs a command has the database at hand.
    """
    parameters: dict[str, Any] = {"batch": batch.pk}
    if change == BatchChange.REASSIGN:
        if new_owner is None or not new_owner.is_active:
            raise OwnerInactive
        if batch.completed_at is None:
            raise BatchIncomplete
        parameters["new_owner"] = new_owner.pk
    with transaction.atomic():
        # Not used up where the operation does not begin.
        if new_owner is not None and not by_operator and code_exports.needs_second_person(batch):
            code_exports.use_approval(batch=batch, actor=actor, note=f"To user {new_owner.pk}")
        return bulk_operations.start(
            kind=change.kind,
            row=batch,
            label=f"{change.label} batch {batch}",
            parameters=parameters,
            reason=redact(reason),
            actor=actor,
            total=Voucher.objects.filter(batch=batch).count(),
            in_background=in_background,
        )


def unfinished(
    change: BatchChange, batch: Batch, *, actor: User, reason: str, new_owner: User | None = None
) -> BulkOperation | None:
    """The latest operation on the batch, if such a `start` began it and it is not at its end."""
    latest = BulkOperation.objects.filter(subject=subject_of(batch)).order_by("-id").first()
    if latest is None or latest.status == BulkOperationStatus.COMPLETED:
        return None
    began = (latest.kind, latest.actor_id, latest.reason, latest.parameters.get("new_owner"))
    same = began == (change.kind, actor.pk, redact(reason), new_owner.pk if new_owner else None)
    return latest if same else None


def register_batch_changes() -> None:
    """Add the four changes to the kinds of bulk operations."""
    done = {
        BatchChange.HOLD: "Held",
        BatchChange.RELEASE: "Released",
        BatchChange.VOID: "Voided",
        BatchChange.REASSIGN: "Reassigned",
    }
    for change in BatchChange:
        bulk_operations.register(
            bulk_operations.Kind(
                name=change.kind,
                permissions=(change.permission,),
                steps=partial(_steps, change),
                outcomes={
                    **{each.value: str(each.label) for each in Outcome},
                    Outcome.CHANGED.value: done[change],
                },
                on_stop=partial(_tell_owners, change),
            )
        )


def _conditions(change: BatchChange, new_owner: int | None) -> dict[Outcome, Q]:
    """Each outcome as a condition on the columns; exactly one holds for any voucher. The same rule as `_outcome`,
    but for HELD_SINGLY, which the columns do not tell: such vouchers are among CHANGED here."""
    suspended = Q(holds__contains=Hold.SUSPENDED)
    ordered = {
        Outcome.VOIDED: Q(holds__contains=Hold.VOIDED),
        Outcome.REFUNDED: Q(holds__contains=Hold.REFUNDED),
        Outcome.USED_UP: Q(uses_remaining=0),
    }
    match change:
        case BatchChange.HOLD:
            ordered[Outcome.UNCHANGED] = suspended
        case BatchChange.RELEASE:
            ordered[Outcome.UNCHANGED] = ~suspended
        case BatchChange.REASSIGN:
            ordered[Outcome.UNCHANGED] = Q(user=new_owner)
    conditions: dict[Outcome, Q] = {}
    before: list[Q] = []
    for outcome, condition in ordered.items():
        conditions[outcome] = condition & ~reduce(or_, before) if before else condition
        before.append(condition)
    return {Outcome.CHANGED: ~reduce(or_, before), **conditions}


def _outcome(change: BatchChange, voucher: Voucher, *, new_owner: int | None, held_singly: bool) -> Outcome:
    """What becomes of a voucher whose row is locked; the same rule as `_conditions`."""
    held_for = voucher.held_for
    if Hold.VOIDED in held_for:
        return Outcome.VOIDED
    if Hold.REFUNDED in held_for:
        return Outcome.REFUNDED
    if voucher.uses_remaining == 0:
        return Outcome.USED_UP
    match change:
        case BatchChange.HOLD if Hold.SUSPENDED in held_for:
            return Outcome.UNCHANGED
        case BatchChange.RELEASE if Hold.SUSPENDED not in held_for:
            return Outcome.UNCHANGED
        case BatchChange.RELEASE if held_singly:
            return Outcome.HELD_SINGLY
        case BatchChange.REASSIGN if voucher.user_id == new_owner:
            return Outcome.UNCHANGED
    return Outcome.CHANGED


# The holds of a voucher after each of the changes of holds.
_NEW_HOLDS: Final[dict[BatchChange, Callable[[Voucher], frozenset[Hold]]]] = {
    BatchChange.HOLD: lambda voucher: voucher.held_for | {Hold.SUSPENDED},
    BatchChange.RELEASE: lambda voucher: voucher.held_for - {Hold.SUSPENDED},
    BatchChange.VOID: lambda voucher: voucher.held_for | {Hold.VOIDED},
}


# What owners are mailed about.
_ACTS: Final = {
    BatchChange.HOLD: StaffAct.SUSPENDED,
    BatchChange.RELEASE: StaffAct.RELEASED,
    BatchChange.VOID: StaffAct.VOIDED,
}


def _steps(change: BatchChange, operation: BulkOperation) -> Generator[None, None, None]:
    vouchers = Voucher.objects.filter(batch=operation.parameters["batch"])
    yield from bulk_operations.in_chunks(operation.pk, vouchers, partial(_change_chunk, change), size=CHUNK)
    if change in _ACTS:
        with transaction.atomic():
            _tell_owners(change, bulk_operations.lock_open(operation.pk))


def _tell_owners(change: BatchChange, operation: BulkOperation) -> None:
    """Mail the owners once about all that the operation changed, as it is at its end or was stopped; its row is locked.

    One that was stopped and goes on tells later of what it changes from then on.
    """
    if change not in _ACTS:
        return
    noted = operation.parameters.pop(OWNERS, {})
    operation.save(update_fields=("parameters",))  # so that nobody is told again
    changed = {int(owner): Changed(**values) for owner, values in noted.items()}
    tell_owners_at_the_end(_ACTS[change], changed, reason=operation.reason)


def _note_owners(operation: BulkOperation, vouchers: list[Voucher]) -> None:
    """Note whose vouchers were changed in this chunk, for the mail at the end."""
    noted = operation.parameters.setdefault(OWNERS, {})
    of_owner: dict[int, list[int]] = defaultdict(list)
    for voucher in vouchers:
        of_owner[voucher.user_id].append(voucher.pk)
    for owner, voucher_ids in of_owner.items():
        changed = Changed(**noted.get(str(owner), {}))
        changed.add(voucher_ids)
        noted[str(owner)] = asdict(changed)


def _change_chunk(change: BatchChange, operation: BulkOperation, voucher_ids: list[int]) -> Mapping[str, int]:
    """Change these vouchers, in the transaction of the chunk; how many have each outcome."""
    new_owner = operation.parameters.get("new_owner")
    # 1. The new owner's row, before the vouchers: the account stays open until all of the chunk is theirs.
    if change == BatchChange.REASSIGN:
        _lock_new_owner(new_owner)
        announce(voucher_ids, new_owner_id=new_owner)
    # 2. The vouchers. Each is judged as it is now: a redemption may have taken the last use meanwhile.
    vouchers = lock_vouchers(voucher_ids)
    singly = _held_singly(voucher_ids) if change == BatchChange.RELEASE else set()
    by_outcome: dict[Outcome, list[Voucher]] = defaultdict(list)
    for voucher in vouchers:
        outcome = _outcome(change, voucher, new_owner=new_owner, held_singly=voucher.pk in singly)
        by_outcome[outcome].append(voucher)
    # 3. The change, with the history as of any single act, and which operation it was.
    about: dict[str, Any] = {
        "actor": operation.actor,
        "reason": operation.reason,
        "details": {OPERATION: operation.pk},
    }
    changed = by_outcome[Outcome.CHANGED]  # counted even where there is none
    if change == BatchChange.REASSIGN:
        reassign_vouchers(changed, new_owner_id=new_owner, **about)
    else:
        change_holds(changed, _NEW_HOLDS[change], **about)
        _note_owners(operation, changed)
    return {outcome.value: len(each) for outcome, each in by_outcome.items()}


def _lock_new_owner(user_id: int) -> None:
    try:
        lock_open_account(user=User(pk=user_id))
    except AccountClosed as error:
        raise OwnerInactive("The new owner's account is not active any more.") from error


def _suspensions() -> QuerySet[VoucherEvent]:
    return VoucherEvent.objects.filter(kind=VoucherEventKind.SUSPENDED, hold=Hold.SUSPENDED).order_by()


def _held_with(batch: Batch) -> QuerySet[VoucherEvent, Any]:
    """The ids of vouchers that an operation on the batch suspended the last time."""
    last = _suspensions().filter(voucher__batch=batch).values("voucher").annotate(last=Max("pk"))
    return VoucherEvent.objects.filter(pk__in=last.values("last"), details__has_key=OPERATION).values(
        "voucher"
    )


def _held_singly(voucher_ids: list[int]) -> set[int]:
    """Those of the vouchers that staff suspended by themselves the last time, or never."""
    suspensions = _suspensions().filter(voucher__in=voucher_ids).order_by("pk")
    operations = dict(suspensions.values_list("voucher", f"details__{OPERATION}"))  # of each the last one
    return {pk for pk in voucher_ids if operations.get(pk) is None}
