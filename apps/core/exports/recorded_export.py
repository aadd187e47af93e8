"""Exporting a table: recorded first, then read as of one moment."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone

from apps.core.logs import redact
from apps.core.models import DataExport
from apps.core.snapshots import snapshot

from .files import FileType
from .tables import Table

PROGRESS: Final = 1000  # rows between two reports


@dataclass(frozen=True)
class Exported:
    """An export that has begun: its record, and the file in parts. Rows are read as the parts are taken."""

    record: DataExport
    parts: Generator[bytes, None, None]


def export_file(
    table: Table,
    queryset: QuerySet[Any],
    file_type: FileType,
    *,
    actor: Any = None,
    criteria: str = "",
    note: str = "",
    unlimited: bool = False,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> Exported:
    """Begin to export these rows of the table, all as of one moment.

    Recorded before anything leaves, with the `actor` (None: nobody's account), the `criteria` by which the rows were
    chosen, and in `note` by which way; and again when the last part was taken, with the number of rows. `unlimited` is
    for commands: see `snapshot`. `on_progress` is called with the number of rows so far.
    """
    record = DataExport.objects.create(
        table=table.name,
        file_type=file_type.extension,
        actor=actor,
        criteria=redact(criteria)[: DataExport.LONGEST_CRITERIA],
        note=note[: DataExport.LONGEST_NOTE],
    )
    counted = 0

    def rows() -> Generator[list[Any], None, None]:
        nonlocal counted
        with snapshot(unlimited=unlimited):
            for row in table.rows(queryset, at=timezone.now()):
                yield row
                counted += 1
                if counted % PROGRESS == 0:
                    on_progress(counted)
        on_progress(counted)

    def parts() -> Generator[bytes, None, None]:
        with closing(rows()) as source:
            yield from file_type.parts(table.columns, source, title=table.name)
        record.finish(rows=counted)

    return Exported(record, parts())
