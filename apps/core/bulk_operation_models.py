"""Acts of staff on many rows, which are carried out in the background."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

STALLED_AFTER: Final = timedelta(minutes=10)  # it is taken up again every minute: see the schedule


class BulkOperationStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


OPEN: Final = (BulkOperationStatus.QUEUED, BulkOperationStatus.RUNNING)


class BulkOperationQuerySet(models.QuerySet["BulkOperation"]):
    def open(self) -> "BulkOperationQuerySet":
        """Those that are not at their end, and that nobody stopped."""
        return self.filter(status__in=OPEN)

    def needing_attention(self, now: datetime) -> "BulkOperationQuerySet":
        """Those that failed, and open ones of which nothing was done for STALLED_AFTER."""
        stalled = Q(status__in=OPEN, updated_at__lt=now - STALLED_AFTER)
        return self.filter(Q(status=BulkOperationStatus.FAILED) | stalled)


class BulkOperation(models.Model):
    """One act on many rows: what, for which row of which it is about, by whom and why, and how far it is.

    It is done in steps. Each commits together with how far it is then, so that after an interruption the next one goes
    on where the last ended. (A JobResult is of a job that runs by the clock: it has one row, and nobody who began it.)
    """

    kind = models.CharField(max_length=50)
    subject = models.CharField(
        max_length=100, editable=False, help_text="The row it is about, as app.model:number."
    )
    label = models.CharField(max_length=250)  # what is done, for people
    parameters = models.JSONField(default=dict, blank=True, editable=False)
    reason = models.CharField(max_length=500)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    status = models.CharField(max_length=9, choices=BulkOperationStatus, default=BulkOperationStatus.QUEUED)
    stage = models.CharField(max_length=50, blank=True, help_text="Of several, the one that it is at.")
    total = models.PositiveIntegerField(help_text="How many rows there were to look at.")
    handled = models.PositiveIntegerField(default=0, help_text="How many were looked at.")
    position = models.BigIntegerField(
        default=0, editable=False, help_text="The key of the last row of the last step."
    )
    counts = models.JSONField(default=dict, blank=True, help_text="What came of the rows, in numbers.")
    error = models.CharField(max_length=200, blank=True, help_text="Why it does not go on.")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = BulkOperationQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (("control_bulkoperation", "Can stop and continue bulk operations"),)
        indexes: ClassVar = [
            models.Index(fields=("subject", "-id"), name="core_operations_of_a_row"),
            models.Index(fields=("updated_at",), condition=Q(status__in=OPEN), name="core_operations_open"),
        ]
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=BulkOperationStatus.values), name="core_operation_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=OPEN, finished_at__isnull=True)
                | (~Q(status__in=OPEN) & Q(finished_at__isnull=False)),
                name="core_operation_ends_once",
            ),
            models.UniqueConstraint(
                fields=("subject",), condition=Q(status__in=OPEN), name="core_operation_open_once"
            ),
        )

    def __str__(self) -> str:
        return self.label

    @property
    def is_open(self) -> bool:
        """Whether there is more to do, and nobody stopped it."""
        return self.status in OPEN

    def add(self, counts: Mapping[str, int], *, handled: int) -> None:
        """Note what came of rows that were looked at. Does not save."""
        for name, number in counts.items():
            self.counts[name] = self.counts.get(name, 0) + number
        self.handled += handled
        self.updated_at = timezone.now()


def subject_of(row: models.Model) -> str:
    """How a BulkOperation names the row that it is about."""
    return f"{row._meta.label_lower}:{row.pk}"
