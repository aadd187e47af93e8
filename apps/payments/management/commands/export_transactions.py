"""`manage.py export_transactions`: transactions in a file for spreadsheets."""

from apps.core.management.exports import ExportCommand
from apps.payments.exports import TRANSACTIONS


class Command(ExportCommand):
    help = "Writes transactions as CSV or XLSX, as of one moment, and records that."
    table = TRANSACTIONS
