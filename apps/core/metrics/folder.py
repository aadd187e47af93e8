"""The folder in which the processes of one server count, each in files of its own, as prometheus_client has it.

The parent (gunicorn's master, Celery's main process) creates it before it forks, and removes it at its end. It needs no
settings. A process that ended is added to the file of all that did: otherwise each renewal of a process would leave
two files, or its counts would be lost and the sum would fall, which Prometheus takes for a restart.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

log = logging.getLogger(__name__)

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # of prometheus_client, which reads it as it is imported
IN_MEMORY: Final = "/dev/shm"  # noqa: S108 - the folder made in it is its user's alone
PREFIX: Final = "app-metrics-"
ENDED: Final = "ended"
ALIVE: Final = "alive"

_kept: list[TextIO] = []


def create() -> Path | None:
    """Create the folder and name it to this process and its children; None where no place for it can be written.

    Folders are removed that a parent left which was killed: its lock, and that of its children, is gone.
    """
    place = Path(IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else tempfile.gettempdir())
    for other in place.glob(f"{PREFIX}*"):
        if _is_abandoned(other):
            remove(other)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        alive = (folder / ALIVE).open("w")
    except OSError as error:  # each process then counts in its memory, and a scrape sees one of them
        log.error("Metrics: no folder for them in %s (%s)", place, error.strerror)
        return None
    fcntl.flock(alive, fcntl.LOCK_EX)
    _kept.append(alive)  # until this process and its children have ended
    os.environ[VARIABLE] = str(folder)
    return folder


def _is_abandoned(folder: Path) -> bool:
    """Whether a folder is ours, and of processes that have ended; one of the last minute may be in the making."""
    try:
        status = folder.stat()
        if status.st_uid != os.getuid() or time.time() - status.st_mtime < 60:
            return False
        with (folder / ALIVE).open("w") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, removed meanwhile, or not ours to open
        return False
    return True


def current() -> Path | None:
    """The folder in which this process counts; None where it counts in its memory."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def remove(folder: Path | None) -> None:
    """Remove the folder, if there is one, with all that was counted in it."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def add_ended(folder: Path | None, pid: int) -> None:
    """Add what a process that has ended counted to what those before it did. Never raises: it would end the server."""
    if folder is None:
        return
    try:
        _add_ended(folder, pid)
    except Exception:
        log.exception("Metrics: what process %s counted is lost", pid)


def _add_ended(folder: Path, pid: int) -> None:
    files = [folder / f"{kind}_{pid}.db" for kind in ("counter", "histogram")]
    if not any(file.exists() and file.stat().st_size for file in files):  # empty if it ended as it began
        return
    from prometheus_client.mmap_dict import MmapedDict

    with locked(folder, fcntl.LOCK_EX):
        for file in filter(Path.exists, files):
            try:
                total = MmapedDict(str(file.with_name(f"{file.name.partition('_')[0]}_{ENDED}.db")))
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
                    total.write_value(key, total.read_value(key)[0] + value, 0.0)
                total.close()
            finally:  # one that can't be read would fail each scrape
                file.unlink()


@contextmanager
def locked(folder: Path, how: int = fcntl.LOCK_SH) -> Iterator[None]:
    """Read all files as they are before or after a process is added to those that ended, never between."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield
