"""Requests that a client may send again."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from .refunds import Refund
from .transactions import Transaction


class IdempotencyKey(models.Model):
    """A request that a client may send again: its key, what it started, and the first answer once there is one.

    Written in the database transaction of what it started. Until the answer is noted, `running_until` keeps a
    second such request waiting; when the process dies, that runs out and the next request takes over.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    # Nobody looks a key up by what it started.
    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    answer = models.JSONField(null=True, blank=True)
    running_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (models.UniqueConstraint(fields=("user", "key"), name="payments_idempotency_key_once"),)

    def __str__(self) -> str:
        return f"Idempotency key {self.pk} of user {self.user_id}"
