"""How many redemptions were refused: counts without codes and without people."""

import uuid

from django.db import models
from django.db.models import Q


class RefusalCount(models.Model):
    """How many redemptions of a service were refused for a reason on a local day. Not for ever: KEEP_REFUSALS."""

    day = models.DateField(help_text="In the project's time zone.")
    service_type = models.CharField(max_length=50, blank=True, help_text="Empty: no service that we know.")
    reason = models.CharField(
        max_length=40, help_text="The code of the answer, or why the voucher is inactive."
    )
    number = models.BigIntegerField()

    class Meta:
        ordering = ("-day", "service_type", "reason")
        constraints = (
            # Also what a period is read by.
            models.UniqueConstraint(
                fields=("day", "service_type", "reason"), name="vouchers_refusal_once_a_day"
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="vouchers_refusal_one_or_more"),
        )

    def __str__(self) -> str:
        return f"{self.number} × {self.reason} on {self.day}"


class RefusalWriter(models.Model):
    """A process that counts refusals, and the last batch of counts that it has written: none is written twice."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    last_batch = models.PositiveBigIntegerField(default=0)
    written_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.id}: {self.last_batch}"
