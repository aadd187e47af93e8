"""Whoever is deactivated, or closes the account, can't pay any more."""

from typing import Any

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from apps.users.models import User

from . import tasks


def cancel_after_commit(*, user: User) -> None:
    """Have what `user` could still pay canceled once the transaction that shuts them out is committed.

    It does not wait for that to succeed: what can't be canceled now is left to the reconciliation.
    """
    transaction.on_commit(lambda: tasks.cancel_open_purchases.delay(user.pk), robust=True)


@receiver(post_save, sender=User)
def cancel_purchases(instance: User, created: bool, raw: bool = False, **rest: Any) -> None:
    """Cancel what a user saved as inactive, by whatever hand, could still pay."""
    if not instance.is_active and not created and not raw:
        cancel_after_commit(user=instance)
