"""Comparing the books with Stripe, both ways, and bringing them in line with it.

Needed because a webhook can be lost for good (Stripe's docs, "Process undelivered webhook events"), and because
a process may die between two steps. Looks only, unless `apply` is set.
"""

from .report import Report, ReportedDifference
from .run import AlreadyRunning, reconcile

__all__ = ["AlreadyRunning", "Report", "ReportedDifference", "reconcile"]
