"""`manage.py create_sample_vouchers`: the four services that the product began with."""

from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand

from apps.vouchers import services

SAMPLES = (
    ("Exam Results Checking", "exam_results", Decimal("10.00"), "Check your examination results online."),
    ("School Application", "school_application", Decimal("25.00"), "Apply to a school of your choice."),
    ("Placement Application", "placement_application", Decimal("35.00"), "Apply for a placement."),
    ("Document Verification", "document_verification", Decimal("15.00"), "Have a document verified."),
)


class Command(BaseCommand):
    help = "Makes the four sample voucher types, or brings them back to their sample values. Safe to repeat."

    def handle(self, *arguments: Any, **options: Any) -> None:
        for name, service_type, price, description in SAMPLES:
            created = services.save_voucher_type(
                name=name,
                service_type=service_type,
                price=price,
                currency="USD",
                description=description,
                validity_days=365,
                max_uses=1,
            )
            self.stdout.write(f"{'Created' if created else 'Updated'}: {name} (${price}, {service_type})")
