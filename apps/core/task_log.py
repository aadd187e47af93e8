"""The lines of a background task: when it starts and how it ended, each with the id of the request that enqueued it.

The id travels in the message's headers. A task that no request enqueued, such as those of the schedule, has its own id
for it, and hands it to the tasks that it enqueues.
"""

import logging
import time
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from celery.signals import before_task_publish, task_postrun, task_prerun

from apps.core.metrics import Counter, Histogram

from .logs.context import Task, current_task, request_id

log = logging.getLogger(__name__)

HEADER: Final = "request_id"
NONE: Final = "-"
TASKS: Final = Counter("tasks_total", "Tasks that ended, by how.", ("task", "outcome"))
DURATIONS: Final = Histogram("task_seconds", "How long tasks took.", ("task",))


class _Run(NamedTuple):
    """What was there before a task began: where there is no broker, a task runs within a request or another task."""

    started: float
    request_id: str
    task: Task | None
    outer: "_Run | None"


_run: ContextVar[_Run | None] = ContextVar("task_run", default=None)


def connect() -> None:
    """Have Celery call this module. To be called once a process, whether it enqueues tasks or runs them."""
    before_task_publish.connect(send_request_id)
    task_prerun.connect(begin)
    task_postrun.connect(end)


def send_request_id(headers: dict[str, Any], **kwargs: Any) -> None:
    """Put the id of the request into the headers of the message that is about to be sent."""
    if (identifier := request_id.get()) != NONE:
        headers[HEADER] = identifier


def begin(task_id: str, task: Any, **kwargs: Any) -> None:
    """Name the task, and the request that it is from, to every line that is written until `end`."""
    before = request_id.get()
    sent = task.request.get(HEADER)
    _run.set(_Run(time.perf_counter(), before, current_task.get(), _run.get()))
    request_id.set(sent or (before if before != NONE else task_id))
    current_task.set(Task(task.name, task_id))
    log.info("Task %s started", task.name)


def end(task: Any, state: str | None = None, **kwargs: Any) -> None:
    """Log and count how the task ended: success, failure, retry, ignored or rejected."""
    run = _run.get()
    if run is None:
        return
    ms = (time.perf_counter() - run.started) * 1000
    outcome = (state or "unknown").lower()
    fields = {"ms": round(ms, 1), "outcome": outcome}
    log.info("Task %s: %s in %.0f ms", task.name, outcome, ms, extra={"fields": fields})
    TASKS.count(task.name, outcome)
    DURATIONS.observe(ms / 1000, task.name)
    request_id.set(run.request_id)
    current_task.set(run.task)
    _run.set(run.outer)
