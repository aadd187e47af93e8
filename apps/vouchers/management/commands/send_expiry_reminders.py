"""`manage.py send_expiry_reminders`: what the schedule does every hour, by hand or by cron."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.vouchers import services


class Command(BaseCommand):
    help = "Queues a mail to owners whose vouchers expire soon, once for each voucher and number of days. Repeatable."

    def handle(self, *arguments: Any, **options: Any) -> None:
        self.stdout.write(f"Mails queued: {services.send_expiry_reminders(now=timezone.now())}.")
