"""Whoever is deactivated loses their sessions."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from apps.users.models import User

from . import services


@receiver(post_save, sender=User)
def revoke_sessions(instance: User, raw: bool = False, **rest: Any) -> None:
    """End the sessions of a user saved as inactive, by whatever hand.

    Their tokens are refused anyway while the user is inactive; this keeps them dead afterwards.
    """
    if not instance.is_active and not raw:
        services.revoke_all_sessions(user=instance)
