"""Background jobs of analytics. Without them figures are as right, but no longer cheap."""

from celery import shared_task

from .services import daily_figures


@shared_task(name="analytics.update_daily_figures", soft_time_limit=3600, time_limit=3700)
def update_daily_figures() -> int:
    """Count what happened since the last time; how many days were counted anew because they were missing."""
    return daily_figures.update()
