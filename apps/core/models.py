"""What no app owns and is stored: how background jobs ended, that they run, and which tables left in files."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .bulk_operation_models import BulkOperation as BulkOperation
from .bulk_operation_models import BulkOperationStatus as BulkOperationStatus

MAX_DETAILS: Final = 20  # lines that are kept of a result


class JobResultQuerySet(models.QuerySet["JobResult"]):
    def record(
        self,
        name: str,
        *,
        problems: int,
        details: Sequence[str] = (),
        complete: bool = True,
        next_within: timedelta,
    ) -> None:
        """Store how a job ended just now, in place of its result before.

        `problems` is how many things a person must look at, `details` names the first of them (no codes, no names of
        people). `complete` is False where it could not check everything. A job that has not ended again `next_within`
        needs a person as well.
        """
        now = timezone.now()
        self.update_or_create(
            name=name,
            defaults={
                "finished_at": now,
                "problems": problems,
                "details": list(details[:MAX_DETAILS]),
                "complete": complete,
                "next_due_at": now + next_within,
            },
        )

    def needing_attention(self, now: datetime) -> "JobResultQuerySet":
        """Jobs with problems, that could not check everything, or that did not run when they should have."""
        return self.filter(Q(problems__gt=0) | Q(complete=False) | Q(next_due_at__lt=now))


class JobResult(models.Model):
    """How the last run of a background job ended; there is one row a job."""

    name = models.CharField(max_length=100, unique=True)
    finished_at = models.DateTimeField()
    problems = models.PositiveIntegerField(help_text="What a person must look at.")
    details = models.JSONField(default=list, blank=True)
    complete = models.BooleanField(help_text="Whether everything could be checked.")
    next_due_at = models.DateTimeField(help_text="By when it should have run again.")

    objects: ClassVar = JobResultQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class DataExport(models.Model):
    """Rows of a table left in a file: who exported them, when, by which criteria, and how many.

    Written before anything leaves, and changed only to note the end.
    """

    LONGEST_CRITERIA: Final = 500
    LONGEST_NOTE: Final = 200

    table = models.CharField(max_length=50)
    file_type = models.CharField("file", max_length=10)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        db_index=False,
    )
    criteria = models.CharField(
        max_length=LONGEST_CRITERIA,
        blank=True,
        help_text="By what the rows were chosen; empty: all. A text that was searched for is not kept: it may name a"
        " person.",
    )
    note = models.CharField(max_length=LONGEST_NOTE, blank=True, help_text="By which way.")
    rows = models.PositiveIntegerField(
        null=True, blank=True, help_text="How many rows the file has. Empty: it did not come to its end."
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-at", "-id")
        verbose_name = "export"

    def __str__(self) -> str:
        return f"Export {self.pk} of {self.table}"

    def finish(self, *, rows: int) -> None:
        """Note that the whole file was taken, with so many rows."""
        self.rows, self.finished_at = rows, timezone.now()
        self.save(update_fields=("rows", "finished_at"))


class Lease(models.Model):
    """Who does what only one may do at a time, and until when; see `leases.py`."""

    name = models.CharField(max_length=100)
    holder = models.CharField(max_length=100, help_text="Host, process and a random number.")
    expires_at = models.DateTimeField(help_text="By the database's clock; in the past: nobody holds it.")

    class Meta:
        # Not `unique=True` of the field: on PostgreSQL that makes a second index, for prefixes.
        constraints = (models.UniqueConstraint(fields=("name",), name="core_lease_name"),)
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """When a process that does jobs gave its last sign of life; see `heartbeats.py`."""

    name = models.CharField(max_length=20)
    at = models.DateTimeField()
    waited = models.FloatField(
        null=True, blank=True, help_text="Seconds from when the job was sent to when a worker began it."
    )

    class Meta:
        constraints = (models.UniqueConstraint(fields=("name",), name="core_heartbeat_name"),)
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ReportedFindings(models.Model):
    """What of the findings of a check ADMINS know by mail, and is still there; see `findings.py`."""

    check_name = models.CharField(max_length=100)
    keys = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("check_name",), name="core_reported_findings_check"),)
        ordering = ("check_name",)
        verbose_name_plural = "reported findings"

    def __str__(self) -> str:
        return self.check_name
