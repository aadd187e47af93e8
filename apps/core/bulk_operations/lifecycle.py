"""Starting, carrying out, stopping and continuing bulk operations.

A worker carries one out for a minute at a time, so that other jobs get their turn, and the schedule takes up what was
interrupted. Where there is no broker, so that jobs run in the web process, whoever starts one waits for some seconds of
it, and `manage.py run_bulk_operations` does the rest.
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any, Final

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import IntegrityError, OperationalError, models, transaction
from django.utils import timezone

from apps.core import leases
from apps.core.bulk_operation_models import OPEN, subject_of
from apps.core.errors import ConflictError, DomainError, UnavailableError
from apps.core.models import BulkOperation, BulkOperationStatus

from .chunks import OperationStopped
from .kinds import kind_of, note_stop

log = logging.getLogger(__name__)

SLICE: Final = 60.0  # seconds a worker is at it before other jobs get their turn
WEB_SLICE: Final = 5.0  # seconds in a web process, where there is no worker
OPERATION_LEASE: Final = timedelta(minutes=2)  # longer than any step; another worker takes it up then
UNEXPECTED: Final = "An unexpected error, which stands in the log."


class OperationRunning(ConflictError):
    code = "operation_running"
    detail = "Another operation on this is not at its end. Wait for it, or stop it."


class OperationEnded(ConflictError):
    code = "operation_ended"
    detail = "This operation is at its end."


def has_workers() -> bool:
    """Whether jobs go to workers, and not to the process that starts them."""
    return not settings.CELERY_TASK_ALWAYS_EAGER


def start(
    *,
    kind: str,
    row: models.Model,
    label: str,
    reason: str,
    actor: Any,
    total: int,
    parameters: dict[str, Any] | None = None,
    in_background: bool = True,
) -> BulkOperation:
    """Begin an operation on a row, with so many rows to look at. After the commit it runs, if `in_background`.

    `actor` is the user who answers for it. Raises OperationRunning while another one on this row is open.
    """
    try:
        with transaction.atomic():
            operation = BulkOperation.objects.create(
                kind=kind,
                subject=subject_of(row),
                label=label[:250],
                reason=reason,
                actor=actor,
                total=total,
                parameters=parameters or {},
            )
    except IntegrityError as error:
        raise OperationRunning from error
    log.info("Bulk operation %s (%s) started by user %s", operation.pk, kind, actor.pk)
    if in_background:
        _run_after_commit(operation.pk)
    return operation


def stop(*, operation_id: int) -> None:
    """Have an operation do no further step; what it did stays. One that failed counts as stopped from then on.

    Raises OperationEnded.
    """
    now = timezone.now()
    stoppable = BulkOperation.objects.filter(pk=operation_id, status__in=(*OPEN, BulkOperationStatus.FAILED))
    with transaction.atomic():
        # The update waits for the chunk that is being done, and locks the row: what is read then has all of it.
        if not stoppable.update(status=BulkOperationStatus.STOPPED, finished_at=now, updated_at=now):
            raise OperationEnded
        note_stop(BulkOperation.objects.get(pk=operation_id))


def resume(*, operation_id: int, in_background: bool = True) -> None:
    """Have an operation that was stopped, failed or interrupted go on. Raises OperationEnded or OperationRunning."""
    unfinished = BulkOperation.objects.filter(pk=operation_id).exclude(status=BulkOperationStatus.COMPLETED)
    try:
        with transaction.atomic():
            resumed = unfinished.update(
                status=BulkOperationStatus.QUEUED, finished_at=None, updated_at=timezone.now(), error=""
            )
    except IntegrityError as error:
        raise OperationRunning from error
    if not resumed:
        raise OperationEnded
    if in_background:
        _run_after_commit(operation_id)


def run(
    operation_id: int,
    *,
    budget: float | None = None,
    on_progress: Callable[[BulkOperation], object] = lambda operation: None,
) -> bool:
    """Do an operation from where it is, for `budget` seconds (None: to its end); whether there is more to do now.

    `on_progress` is called after each step. What the database or another service did not do in time is left for later;
    what can't be done ends the operation as failed.
    """
    begun = time.monotonic()
    with leases.try_acquire(f"bulk operation {operation_id}", length=OPERATION_LEASE) as lease:
        if lease is None or not _note(operation_id, status=BulkOperationStatus.RUNNING, error=""):
            return False
        operation = BulkOperation.objects.get(pk=operation_id)
        try:
            with closing(kind_of(operation).steps(operation)) as steps:
                for _ in steps:
                    on_progress(operation)
                    if budget is not None and time.monotonic() - begun >= budget:
                        return True
                    lease.renew()
        except (OperationStopped, leases.LeaseLost):
            return False
        except (OperationalError, UnavailableError, SoftTimeLimitExceeded) as error:
            log.warning("Bulk operation %s was interrupted: %s", operation_id, type(error).__name__)
            why = (
                error.detail
                if isinstance(error, UnavailableError)
                else "The database did not answer in time."
            )
            _note(operation_id, error=why[:200])
            return False
        except DomainError as error:
            _end(operation_id, BulkOperationStatus.FAILED, error=error.detail)
            return False
        except Exception:
            log.exception("Bulk operation %s failed", operation_id)
            _end(operation_id, BulkOperationStatus.FAILED, error=UNEXPECTED)
            return False
        _end(operation_id, BulkOperationStatus.COMPLETED)
    return False


@shared_task(name="core.run_bulk_operation")
def run_bulk_operation(operation_id: int) -> None:
    """Do a slice of a bulk operation, and queue the next one. May run twice, also at once: the second does nothing."""
    if run(operation_id, budget=SLICE):
        run_bulk_operation.delay(operation_id)


def run_interrupted() -> int:
    """Take up the open operations that nobody has been at for some time; how many."""
    since = timezone.now() - OPERATION_LEASE
    interrupted = list(BulkOperation.objects.open().filter(updated_at__lt=since).values_list("pk", flat=True))
    for operation_id in interrupted:
        run_bulk_operation.delay(operation_id)
    return len(interrupted)


def _run_after_commit(operation_id: int) -> None:
    """By a worker, or where there is none a few seconds of it here. Should that fail, the schedule takes it up."""
    if has_workers():
        transaction.on_commit(lambda: run_bulk_operation.delay(operation_id), robust=True)
    else:
        transaction.on_commit(lambda: run(operation_id, budget=WEB_SLICE), robust=True)


def _note(operation_id: int, **fields: Any) -> bool:
    """Write these fields of an operation, if it is open; whether it is."""
    rows = BulkOperation.objects.open().filter(pk=operation_id)
    return bool(rows.update(updated_at=timezone.now(), **fields))


def _end(operation_id: int, status: BulkOperationStatus, *, error: str = "") -> None:
    _note(operation_id, status=status, error=error[:200], finished_at=timezone.now())
    log.info("Bulk operation %s ended as %s", operation_id, status)
