"""Tables of rows in files for spreadsheets: CSV and XLSX, of any size in little memory.

An app says in its `exports.py` which columns a table has (`Table`, `Column`). Screens (`core/backoffice/exports.py`)
and commands (`core/management/exports.py`) choose the rows and the type of file, and `export_file` writes it.
"""

from .columns import Column, Kind, moment_columns
from .files import FILE_TYPES, FileType
from .recorded_export import Exported, export_file
from .tables import Days, DaysInvalid, Table

__all__ = [
    "FILE_TYPES",
    "Column",
    "Days",
    "DaysInvalid",
    "Exported",
    "FileType",
    "Kind",
    "Table",
    "export_file",
    "moment_columns",
]
