"""Letting the codes of batches out in a file: on the record, and above a set amount after somebody else approved it.

The value of a batch is what its vouchers cost, at their own price or at that of their type today, whichever is
above its limit: a batch that was issued for nothing redeems as much as any other.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.core import second_person
from apps.core.batching import row_chunks
from apps.core.logs import redact
from apps.core.second_person import SecondPersonNeeded
from apps.users.models import User
from apps.vouchers.code_export_models import OPEN, CodeExportRequest, CodeExportStatus
from apps.vouchers.errors import BatchIncomplete, ExportDecided, ExportRequested, ExportRequestNotFound
from apps.vouchers.models import Batch, BatchExport, Voucher

APPROVAL_LAPSES_AFTER: Final = timedelta(days=7)  # unless it was used


def export_codes(*, batch: Batch, actor: User, note: str = "") -> Iterator[Voucher]:
    """The vouchers of a complete batch with their type, in the order of their issue, for a file with their codes.

    The actor is recorded first, with how many codes they get; `note` says by which way. Above the set amount an
    approved request of the actor is used up. Raises BatchIncomplete or SecondPersonNeeded.
    """
    if needs_second_person(batch):
        use_approval(batch=batch, actor=actor, note=note)
    else:
        _record(batch, actor, note)
    return _vouchers_of(batch)


def export_codes_by_operator(*, batch: Batch, actor: User | None = None, note: str = "") -> Iterator[Voucher]:
    """As `export_codes`, for a command: whoever runs one has the database at hand, and needs nobody's approval."""
    _record(batch, actor, note)
    return _vouchers_of(batch)


def needs_second_person(batch: Batch) -> bool:
    """Whether the codes of the batch are worth more than one person may take alone (SECOND_PERSON_CODE_EXPORTS)."""
    return second_person.is_needed(settings.SECOND_PERSON_CODE_EXPORTS, values_of(batch))


def values_of(batch: Batch) -> tuple[tuple[Decimal, str], tuple[Decimal, str]]:
    """What the vouchers of a batch cost together, at their own price and at that of their type today: with currency."""
    of_type = batch.voucher_type
    return (
        (batch.face_value * batch.quantity, batch.currency),
        (of_type.price * batch.quantity, of_type.currency),
    )


def request_code_export(*, batch: Batch, actor: User, reason: str) -> CodeExportRequest:
    """Ask for the codes of a complete batch; somebody else decides. Codes in the reason are masked.

    Raises BatchIncomplete, or ExportRequested if a request of the actor for this batch is open.
    """
    _check_complete(batch)
    with transaction.atomic():
        _lapse(batch, actor)
        try:
            with transaction.atomic():
                return CodeExportRequest.objects.create(
                    batch=batch, requested_by=actor, reason=redact(reason)
                )
        except IntegrityError as error:
            raise ExportRequested from error


def approve_code_export(*, request_id: int, actor: User, note: str) -> CodeExportRequest:
    """Let who asked for the codes take them once, until APPROVAL_LAPSES_AFTER has passed.

    Raises ExportRequestNotFound, ExportDecided, or SecondPersonNeeded to who asked.
    """
    return _decide(request_id, actor, note, CodeExportStatus.APPROVED)


def reject_code_export(*, request_id: int, actor: User, note: str) -> CodeExportRequest:
    """Refuse a request. Raises ExportRequestNotFound, ExportDecided, or SecondPersonNeeded to who asked."""
    return _decide(request_id, actor, note, CodeExportStatus.REJECTED)


def open_request_of(actor: User, batch: Batch) -> CodeExportRequest | None:
    """The actor's request for the codes of this batch that waits for a decision, or was approved and still counts."""
    request = CodeExportRequest.objects.filter(batch=batch, requested_by=actor, status__in=OPEN).first()
    if request is None or _has_lapsed(request):
        return None
    return request


@transaction.atomic
def _decide(request_id: int, actor: User, note: str, status: CodeExportStatus) -> CodeExportRequest:
    request = CodeExportRequest.objects.select_for_update(no_key=True).filter(pk=request_id).first()
    if request is None:
        raise ExportRequestNotFound
    if request.status != CodeExportStatus.REQUESTED:
        raise ExportDecided
    if request.requested_by_id == actor.pk:
        raise SecondPersonNeeded
    request.status, request.decided_by, request.decided_at = status, actor, timezone.now()
    request.decision_note = redact(note)
    request.save(update_fields=("status", "decided_by", "decided_at", "decision_note"))
    return request


@transaction.atomic
def use_approval(*, batch: Batch, actor: User, note: str) -> None:
    """Record an export by the approved request of the actor, which is locked: of two exports at once one uses it up.

    Raises SecondPersonNeeded without such a request.
    """
    requests = CodeExportRequest.objects.select_for_update(no_key=True)
    approved = CodeExportStatus.APPROVED
    request = requests.filter(batch=batch, requested_by=actor, status=approved).first()
    if request is None or _has_lapsed(request):
        raise SecondPersonNeeded
    request.status, request.export = CodeExportStatus.EXPORTED, _record(batch, actor, note)
    request.save(update_fields=("status", "export"))


def _has_lapsed(request: CodeExportRequest) -> bool:
    decided_at = request.decided_at
    return decided_at is not None and decided_at + APPROVAL_LAPSES_AFTER <= timezone.now()


def _lapse(batch: Batch, actor: User) -> None:
    """End an approval of the actor that was not used in time, so that they can ask anew."""
    too_long_ago = timezone.now() - APPROVAL_LAPSES_AFTER
    CodeExportRequest.objects.filter(
        batch=batch, requested_by=actor, status=CodeExportStatus.APPROVED, decided_at__lte=too_long_ago
    ).update(status=CodeExportStatus.LAPSED)


def _record(batch: Batch, actor: User | None, note: str) -> BatchExport:
    _check_complete(batch)
    return BatchExport.objects.create(batch=batch, actor=actor, codes=batch.quantity, note=note)


def _check_complete(batch: Batch) -> None:
    if batch.completed_at is None:
        raise BatchIncomplete


def _vouchers_of(batch: Batch, page: int = 5000) -> Iterator[Voucher]:
    for vouchers in row_chunks(Voucher.objects.filter(batch=batch), page):
        for voucher in vouchers:
            voucher.voucher_type = batch.voucher_type
            yield voucher
