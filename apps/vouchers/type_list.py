"""The list of types on sale as JSON, kept by each process."""

from typing import NamedTuple

from apps.core.api.responses import EncodedDocument

from . import row_queries
from .documents import type_document
from .rows import TypeRow


class _TypeList(NamedTuple):
    rows: list[TypeRow]
    encoded: EncodedDocument


_latest = _TypeList([], EncodedDocument([]))


def types_on_sale() -> EncodedDocument:
    """The types that can be bought, by name, as `VoucherTypeOutput` writes them. One query.

    The rows are read each time, and written as JSON only when they differ from those before. So a change made in
    whatever way, by whatever process, is seen at once; nothing has to report it.
    """
    global _latest
    rows = row_queries.types_on_sale()
    latest = _latest  # another thread may replace it
    if latest.rows != rows:
        _latest = latest = _TypeList(rows, EncodedDocument([type_document(row) for row in rows]))
    return latest.encoded


def etag() -> str:
    """The ETag of the answer with `types_on_sale`. One query."""
    return types_on_sale().etag
