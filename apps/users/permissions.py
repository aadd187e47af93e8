"""What staff may do: their permissions outside the admin, and whose rights they may give and change.

Nobody gives, or gets hold of, more than they have: see `accounts_with_more_rights` and `grantable_groups`.
"""

from typing import Final

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from apps.core.errors import ForbiddenError

from .errors import SecondFactorRequired
from .models import User

MANAGE_STAFF: Final = "users.manage_staff"


def has_staff_permission(user: User, permission: str) -> bool:
    """Whether the user is active staff and has the permission, such as "vouchers.view_voucher".

    One for superusers and for who is no staff costs no query; others cost two, once for each instance of a user.
    A permission without the status of staff is worth nothing, as in the admin; nor is one in a session that did not
    pass the second factor, where staff need one (STAFF_SECOND_FACTOR).
    """
    return user.has_staff_powers and user.has_perm(permission)


def require_staff_permission(user: User, permission: str, *, otherwise: type[ForbiddenError]) -> None:
    """Raises SecondFactorRequired if the second factor is all that staff with the permission lack, else `otherwise`."""
    if has_staff_permission(user, permission):
        return
    if user.is_staff and not user.has_staff_powers and user.has_perm(permission):
        raise SecondFactorRequired
    raise otherwise


def accounts_with_more_rights(actor: User) -> QuerySet[User]:
    """Superusers, and everybody with a permission that the actor lacks, staff or not: it would work once they are.

    Nobody has more than a superuser.
    """
    if actor.is_superuser:
        return User.objects.none()
    lacking = _lacking(actor).values("pk")
    by_group = User.groups.through.objects.filter(group__permissions__in=lacking).values("user_id")
    directly = User.user_permissions.through.objects.filter(permission__in=lacking).values("user_id")
    return User.objects.filter(Q(is_superuser=True) | Q(pk__in=by_group) | Q(pk__in=directly))


def grantable_groups(actor: User) -> QuerySet[Group]:
    """The groups that the actor may put others into: those without a permission that the actor lacks."""
    if actor.is_superuser:
        return Group.objects.all()
    return Group.objects.exclude(permissions__in=_lacking(actor))


def _lacking(actor: User) -> QuerySet[Permission]:
    held = Permission.objects.filter(Q(user=actor) | Q(group__user=actor))
    return Permission.objects.exclude(pk__in=held.values("pk"))
