"""What is on sale in the demo history: the sample types, and more with other uses, validities and currencies."""

from decimal import Decimal
from io import StringIO
from random import Random
from typing import Final

from django.core.management import call_command

from apps.vouchers import services
from apps.vouchers.models import VoucherType

# Name, service, price, days of validity, uses. West Africa's CFA franc (XOF) has no minor unit.
MORE: Final = (
    ("Exam Results Checking, 5 Uses", "exam_results", "40.00 USD", 120, 5),
    ("Mock Exam Results", "exam_results", "5.00 USD", 30, 1),
    ("Express Document Verification", "document_verification", "22.00 USD", 45, 2),
    ("School Application in Europe", "school_application", "18.00 EUR", 365, 1),
    ("Document Verification in Ghana", "document_verification", "180.00 GHS", 365, 1),
    ("Exam Results in Francophone Africa", "exam_results", "6000 XOF", 365, 1),
)
# How often each is bought: usually, and while results are new.
SHARES: Final = {
    "Exam Results Checking": (30, 70),
    "School Application": (16, 6),
    "Placement Application": (12, 8),
    "Document Verification": (14, 4),
    "Exam Results Checking, 5 Uses": (8, 9),
    "Mock Exam Results": (12, 1),
    "Express Document Verification": (8, 2),
    "School Application in Europe": (6, 2),
    "Document Verification in Ghana": (5, 3),
    "Exam Results in Francophone Africa": (5, 8),
}


def create_types() -> list[VoucherType]:
    """The types on sale, in the order of SHARES."""
    call_command("create_sample_vouchers", stdout=StringIO())
    for name, service_type, price, validity_days, max_uses in MORE:
        amount, currency = price.split()
        services.save_voucher_type(
            name=name,
            service_type=service_type,
            price=Decimal(amount),
            currency=currency,
            description=f"{name}: sample data.",
            validity_days=validity_days,
            max_uses=max_uses,
        )
    types = {voucher_type.name: voucher_type for voucher_type in VoucherType.objects.filter(name__in=SHARES)}
    return [types[name] for name in SHARES]


def draw_type(random: Random, types: list[VoucherType], *, peak: bool) -> VoucherType:
    """One of the types from `create_types`, as people buy them."""
    (voucher_type,) = random.choices(types, [shares[peak] for shares in SHARES.values()])
    return voucher_type


def draw_quantity(random: Random) -> int:
    """How many somebody buys at once."""
    return random.choices((1, 2, 3, 4, 5, 10, 25), (620, 190, 80, 40, 40, 25, 5))[0]
