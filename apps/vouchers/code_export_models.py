"""The codes of batches that left in files, and requests for those worth more than one person may take alone."""

from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class CodeExportStatus(models.TextChoices):
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPORTED = "exported"
    LAPSED = "lapsed"


OPEN: Final = (CodeExportStatus.REQUESTED, CodeExportStatus.APPROVED)


class BatchExport(models.Model):
    """The full codes of a batch left in a file: who exported them, when, and how many. Append-only."""

    batch = models.ForeignKey("vouchers.Batch", on_delete=models.PROTECT, related_name="exports")
    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    codes = models.PositiveIntegerField(help_text="How many codes the file has.")
    note = models.CharField(max_length=200, blank=True, default="", db_default="", help_text="By which way.")

    class Meta:
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return f"Export of {self.codes} codes of batch {self.batch_id}"


class CodeExportRequest(models.Model):
    """Somebody wants the codes of a batch in a file, and somebody else decides. One file comes of an approval."""

    batch = models.ForeignKey("vouchers.Batch", on_delete=models.PROTECT, related_name="export_requests")
    status = models.CharField(max_length=10, choices=CodeExportStatus, default=CodeExportStatus.REQUESTED)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=500)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_note = models.CharField(max_length=500, blank=True)
    export = models.OneToOneField(
        "vouchers.BatchExport", on_delete=models.PROTECT, related_name="request", null=True, blank=True
    )

    class Meta:
        ordering = ("-requested_at", "-id")
        default_permissions = ("view",)
        permissions = (("decide_code_export", "Can approve and reject exports of codes that others ask for"),)
        indexes: ClassVar = [
            models.Index(
                fields=("requested_at",),
                condition=Q(status=CodeExportStatus.REQUESTED),
                name="vouchers_exports_requested",
            )
        ]
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=CodeExportStatus.values), name="vouchers_export_request_status_known"
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("requested_by")),
                name="vouchers_export_decided_by_another",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=CodeExportStatus.REQUESTED, decided_by__isnull=True, decided_at__isnull=True
                )
                | (
                    ~Q(status=CodeExportStatus.REQUESTED)
                    & Q(decided_by__isnull=False, decided_at__isnull=False)
                ),
                name="vouchers_export_request_decided",
            ),
            models.CheckConstraint(
                condition=Q(status=CodeExportStatus.EXPORTED, export__isnull=False)
                | (~Q(status=CodeExportStatus.EXPORTED) & Q(export__isnull=True)),
                name="vouchers_export_request_used",
            ),
            models.UniqueConstraint(
                fields=("batch", "requested_by"),
                condition=Q(status__in=OPEN),
                name="vouchers_export_request_open_once",
            ),
        )

    def __str__(self) -> str:
        return f"Request {self.pk} for the codes of batch {self.batch_id}"
