"""`manage.py export_refunds`: refunds in a file for spreadsheets."""

from apps.core.management.exports import ExportCommand
from apps.payments.exports import REFUNDS


class Command(ExportCommand):
    help = "Writes refunds as CSV or XLSX, as of one moment, and records that."
    table = REFUNDS
