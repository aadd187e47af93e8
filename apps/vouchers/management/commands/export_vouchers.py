"""`manage.py export_vouchers`: vouchers in a file for spreadsheets."""

from apps.core.management.exports import ExportCommand
from apps.vouchers.exports import VOUCHERS


class Command(ExportCommand):
    help = "Writes vouchers without their codes as CSV or XLSX, as of one moment, and records that."
    table = VOUCHERS
