"""`manage.py export_usages`: usages in a file for spreadsheets."""

from apps.core.management.exports import ExportCommand
from apps.vouchers.exports import USAGES


class Command(ExportCommand):
    help = "Writes usages as CSV or XLSX, as of one moment, and records that."
    table = USAGES
