"""Whether somebody may do what only staff with a permission may, outside the admin."""

from .models import User


def has_staff_permission(user: User, permission: str) -> bool:
    """Whether the user is active staff and has the permission, such as "vouchers.view_voucher".

    One for superusers and for who is no staff costs no query; others cost two, once for each instance of a user.
    A permission without the status of staff is worth nothing, as in the admin.
    """
    return user.is_staff and user.has_perm(permission)
