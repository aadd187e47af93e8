"""`manage.py send_queued_mail`: in place of post_office's own, which knows nothing of our attachments."""

from typing import Any

from django.core.management.base import BaseCommand

from apps.core import mail


class Command(BaseCommand):
    help = "Sends the mail that is waiting. Any number may run at once, also beside workers."

    def handle(self, *arguments: Any, **options: Any) -> None:
        self.stdout.write(f"Sent: {mail.send_pending()}. Waiting: {mail.waiting().count()}.")
