"""The facts that stand in the way of seeing figures."""

from apps.core.errors import ForbiddenError


class StaffOnly(ForbiddenError):
    code = "permission_denied"
    detail = "Only staff may see this."
