"""Acts of staff on many rows: dry run, then steps in the background, with progress and a result that stay."""

from .chunks import PROGRESS, OperationStopped, in_chunks, lock_open
from .kinds import Kind, kind_of, outcomes_of, permissions_of, register
from .lifecycle import (
    OperationEnded,
    OperationRunning,
    has_workers,
    resume,
    run,
    run_bulk_operation,
    run_interrupted,
    start,
    stop,
)

__all__ = [
    "PROGRESS",
    "Kind",
    "OperationEnded",
    "OperationRunning",
    "OperationStopped",
    "has_workers",
    "in_chunks",
    "kind_of",
    "lock_open",
    "outcomes_of",
    "permissions_of",
    "register",
    "resume",
    "run",
    "run_bulk_operation",
    "run_interrupted",
    "start",
    "stop",
]
