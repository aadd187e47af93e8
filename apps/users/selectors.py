"""Reading people."""

from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet

from .models import User


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
