"""Sessions: what makes a token of ours more than a signature."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class Session(models.Model):
    """One sign-in: the family of tokens that descend from it.

    Every token names its session. The one refresh token that may be used next is `refresh_jti`, issued at
    `refreshed_at`; its direct predecessor gets it again for some seconds, and using any other of the family means that
    a token was copied, and ends the session. `auth_hash` is a digest of the password at sign-in, as in Django's own
    sessions: a new password, however set, ends the session. `second_factor_at` is when staff passed the second factor
    in it; without, they have in the API what customers have (STAFF_SECOND_FACTOR).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sessions")
    refresh_jti = models.CharField(max_length=32)
    auth_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    refreshed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    second_factor_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "id")

    def __str__(self) -> str:
        return f"Session of {self.user_id} since {self.created_at:%Y-%m-%d %H:%M}"
