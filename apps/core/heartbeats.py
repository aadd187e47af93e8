"""Signs of life of the processes that do jobs: every minute the schedule sends a job, and a worker does it.

Both leave a row, so that whoever sees the database sees whether they run. Where there is no broker, neither does.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import Error
from django.utils import timezone

from .models import Heartbeat

log = logging.getLogger(__name__)

WORKER: Final = "worker"
SCHEDULE: Final = "beat"  # as its process is called
NAMES: Final = (WORKER, SCHEDULE)
LATE: Final = timedelta(
    minutes=3
)  # after so long without a sign they don't run, or are busy with something else


def record(name: str, *, waited: float | None = None) -> None:
    """Note a sign of life, just now. `waited`: for how many seconds its job had waited. Never raises."""
    values = {"at": timezone.now(), "waited": waited}
    try:
        if not Heartbeat.objects.filter(name=name).update(**values):
            Heartbeat.objects.bulk_create([Heartbeat(name=name, **values)], ignore_conflicts=True)
    except Error as error:
        log.warning("Heartbeat of %s: not written (%s)", name, type(error).__name__)


def last_signs() -> dict[str, Heartbeat]:
    """The last sign of life of each that ever gave one."""
    return {sign.name: sign for sign in Heartbeat.objects.filter(name__in=NAMES)}


def states(now: datetime) -> dict[str, str]:
    """Of each name: "ok", or "degraded" where its last sign of life is too long ago, or it never gave one."""
    signs = last_signs()
    return {name: "ok" if name in signs and now - signs[name].at < LATE else "degraded" for name in NAMES}
