"""Reading people."""

from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet

from .models import EmailChange, User, WithheldMail


def is_taken(email: str) -> bool:
    """Whether an account has this e-mail address, in whatever case it is written."""
    return User.objects.filter(email=email).exists()


def who_has(email: str) -> User | None:
    """The user with this e-mail address, in whatever case it is written."""
    return User.objects.filter(email=email).first()


def who_may_reset(email: str) -> User | None:
    """The active user with this address whose password may be reset: one who has any."""
    user = User.objects.filter(email=email, is_active=True).first()
    return user if user and user.has_usable_password() else None


def who_may_confirm(email: str) -> User | None:
    """The active user with this address who has not confirmed it."""
    return User.objects.filter(email=email, is_active=True, email_confirmed_at=None).first()


def profile_of(user: User) -> dict[str, Any]:
    """All that is held of a person in the account itself, for the export."""
    account = user_with_profile(user.pk)
    picture = account.profile.profile_picture
    return {
        "id": account.pk,
        "email": account.email,
        "email_confirmed_at": account.email_confirmed_at,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "language": account.language,
        "phone_number": account.profile.phone_number,
        "address": account.profile.address,
        "date_of_birth": account.profile.date_of_birth,
        "profile_picture": picture.url if picture else None,
        "expiry_reminders": account.profile.expiry_reminders,
        "is_staff": account.is_staff,
        "date_joined": account.date_joined,
        "last_login": account.last_login,
    }


def email_changes_of(user: User) -> list[dict[str, Any]]:
    """The address that the user asked for and has not confirmed, for the export."""
    rows = EmailChange.objects.filter(user=user)
    return [dict(row) for row in rows.values("new_email", "created_at", "expires_at")]


def withheld_mails_of(user: User) -> list[dict[str, Any]]:
    """What waits until the user confirms the address, for the export."""
    rows = WithheldMail.objects.filter(user=user).order_by("id")
    return [dict(row) for row in rows.values("kind", "reference", "created_at")]


def user_with_profile(user_id: int) -> User:
    """A user and their profile, in one query."""
    return User.objects.select_related("profile").get(pk=user_id)


def staff_with_permission(permission: str) -> QuerySet[User]:
    """Active staff who have a permission ("app.codename") by themselves or a group; superusers where there are none."""
    app_label, codename = permission.split(".")
    permissions = Permission.objects.filter(content_type__app_label=app_label, codename=codename)
    staff = User.objects.filter(is_active=True, is_staff=True).order_by("pk")
    holders = staff.filter(Q(user_permissions__in=permissions) | Q(groups__permissions__in=permissions))
    return holders.distinct() if holders.exists() else staff.filter(is_superuser=True)


def is_open(user_id: int) -> bool:
    """Whether the account is neither closed nor deactivated."""
    return User.objects.filter(pk=user_id, is_active=True).exists()
