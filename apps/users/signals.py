"""Every user has a profile."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from .models import User, UserProfile


@receiver(post_save, sender=User)
def make_profile(instance: User, created: bool, raw: bool = False, **rest: Any) -> None:
    """Create the profile together with the user, however the user is created (a fixture brings its own)."""
    if created and not raw:
        UserProfile.objects.create(user=instance)
