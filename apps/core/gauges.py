"""What core has Prometheus read: the mail that waits, jobs and their results, and what needs a person."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min
from post_office.models import STATUS, Email

from . import health, heartbeats, mail, readiness
from .backoffice import attention
from .metrics import Gauge, Reader, Reading
from .models import JobResult

MOST_COUNTED: Final = 10_000  # rows: beyond, the number says that there are too many
QUEUES: Final = ("celery",)  # of Celery: the project has its default one
MAIL_STATES: Final = {STATUS.queued: "new", STATUS.requeued: "retried", STATUS.failed: "failed"}

MAILS: Final = Gauge(
    "mails",
    f"Mails that were not sent, up to {MOST_COUNTED}: new, retried after a failure, failed for good.",
    ("state",),
)
MAIL_AGE: Final = Gauge(
    "mail_oldest_seconds", "Age of the oldest mail that waits: new, or retried after a failure.", ("state",)
)
HEARTBEAT_AGE: Final = Gauge(
    "heartbeat_age_seconds",
    "Seconds since the last sign of life of worker and beat; missing: never.",
    ("process",),
)
JOB_WAITED: Final = Gauge(
    "queue_wait_seconds", "How long the last heartbeat waited in the queue until a worker took it."
)
QUEUE_LENGTH: Final = Gauge("queue_length", "Jobs that wait for a worker.", ("queue",))
CHECK_PROBLEMS: Final = Gauge(
    "check_problems", "What the last run of a scheduled check left to a person.", ("check",)
)
CHECK_COMPLETE: Final = Gauge("check_complete", "Whether its last run could check everything.", ("check",))
CHECK_AGE: Final = Gauge("check_age_seconds", "Seconds since its last run ended.", ("check",))
CHECK_OVERDUE: Final = Gauge(
    "check_overdue_seconds", "Seconds since it should have run again; below 0: it is not due.", ("check",)
)
ATTENTION: Final = Gauge(
    "attention_items", "Rows that need a person, as the front page of the admin counts them.", ("item",)
)
DEPENDENCY_UP: Final = Gauge(
    "dependency_up",
    "Whether each thing that /api/health/ready/ looks at is well, or not configured.",
    ("name",),
)
CONNECTIONS: Final = Gauge(
    "database_connections", "Connections to this database, of all clients.", ("state",)
)
MOST_CONNECTIONS: Final = Gauge(
    "database_connections_max", "Connections that the server allows, to all databases."
)


def readers() -> list[Reader]:
    """What is registered, with what each shows."""
    return [
        Reader("mail", (MAILS, MAIL_AGE), _mail),
        Reader("heartbeats", (HEARTBEAT_AGE, JOB_WAITED), _heartbeats),
        Reader("queues", (QUEUE_LENGTH,), _queues, from_database=False),
        Reader("checks", (CHECK_PROBLEMS, CHECK_COMPLETE, CHECK_AGE, CHECK_OVERDUE), _checks),
        Reader("attention", (ATTENTION,), _attention),
        Reader("dependencies", (DEPENDENCY_UP,), _dependencies, bounded=False),
        Reader("connections", (CONNECTIONS, MOST_CONNECTIONS), _connections),
    ]


def _mail(now: datetime) -> Iterable[Reading]:
    for status, state in MAIL_STATES.items():
        # By the index of the status, in no order: one by time would walk through all mail.
        rows: Any = Email.objects if status == STATUS.failed else mail.waiting()
        some = rows.filter(status=status).order_by().values("created")[:MOST_COUNTED]
        figures = some.aggregate(number=Count("*"), oldest=Min("created"))
        yield Reading(MAILS, figures["number"], (state,))
        if status != STATUS.failed:
            age = (now - figures["oldest"]).total_seconds() if figures["oldest"] else 0.0
            yield Reading(MAIL_AGE, max(0.0, age), (state,))


def _heartbeats(now: datetime) -> Iterable[Reading]:
    for name, sign in heartbeats.last_signs().items():
        yield Reading(HEARTBEAT_AGE, max(0.0, (now - sign.at).total_seconds()), (name,))
        if sign.waited is not None:
            yield Reading(JOB_WAITED, sign.waited)


def _queues(now: datetime) -> Iterable[Reading]:
    if not settings.CELERY_BROKER_URL.startswith(("redis://", "rediss://", "unix://")):
        return
    with health.redis_client(settings.CELERY_BROKER_URL) as client:
        for queue in QUEUES:
            yield Reading(QUEUE_LENGTH, client.llen(queue), (queue,))


def _checks(now: datetime) -> Iterable[Reading]:
    for job in JobResult.objects.all():
        yield Reading(CHECK_PROBLEMS, job.problems, (job.name,))
        yield Reading(CHECK_COMPLETE, float(job.complete), (job.name,))
        yield Reading(CHECK_AGE, max(0.0, (now - job.finished_at).total_seconds()), (job.name,))
        yield Reading(CHECK_OVERDUE, (now - job.next_due_at).total_seconds(), (job.name,))


def _attention(now: datetime) -> Iterable[Reading]:
    for name, number in attention.numbers(now).items():
        yield Reading(ATTENTION, number, (name,))


def _dependencies(now: datetime) -> Iterable[Reading]:
    for name, state in readiness.states().items():
        yield Reading(DEPENDENCY_UP, float(state in ("ok", "not configured")), (name,))


def _connections(now: datetime) -> Iterable[Reading]:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(state, 'other'), COUNT(*), current_setting('max_connections')::int"
            " FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"
        )
        for state, number, most in cursor.fetchall():
            yield Reading(CONNECTIONS, number, (state,))
            allowed = most
    yield Reading(MOST_CONNECTIONS, allowed)
