"""Background jobs of analytics. Without them figures are as right, but no longer cheap."""

from datetime import timedelta

from celery import shared_task

from apps.core import findings, leases
from apps.core.models import JobResult
from apps.core.tasks import LONG_JOB

from . import audit
from .services import daily_figures

AUDITED_WITHIN = timedelta(hours=36)  # it runs daily


@shared_task(name="analytics.update_daily_figures", **LONG_JOB)
def update_daily_figures() -> int:
    """Count what happened since the last time; how many days were counted anew because they were missing.

    Does nothing where another is at it still: it would wait for that, and keep a worker from other jobs.
    """
    with leases.try_acquire("daily figures") as lease:
        if lease is None:
            return 0
        try:
            return daily_figures.update(before_each_step=lease.renew)
        except leases.LeaseLost:  # what was counted so far is committed, and another goes on
            return 0


@shared_task(name="analytics.audit", **LONG_JOB)
def audit_books() -> int:
    """Check every rule of the books, store the result for the admin's front page, and mail what is new; how many rules
    do not hold.

    An audit that could not be done is stored as such.
    """
    try:
        broken = audit.audit().broken
    except audit.NotChecked as error:
        JobResult.objects.record(
            "Audit", problems=0, details=[str(error)], complete=False, next_within=AUDITED_WITHIN
        )
        findings.report("Audit", {"not checked": f"Not checked: {error}"}, looked_everywhere=False)
        return 0
    details = [f"{result.rule.name}: {result.finding.number}" for result in broken]
    JobResult.objects.record("Audit", problems=len(broken), details=details, next_within=AUDITED_WITHIN)
    findings.report(
        "Audit",
        {
            result.rule.name: f"{result.rule.name}: {result.rule.description} {result.finding.number} found."
            for result in broken
        },
    )
    return len(broken)
