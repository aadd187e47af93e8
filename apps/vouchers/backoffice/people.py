"""What the page of a person shows of vouchers: those that they own, and the redemptions that they made."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from apps.core.backoffice.pages import Part
from apps.users.admin import UserAdmin
from apps.vouchers import codes, selectors
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.type_names import service_name


def redemptions_of(person: Any) -> QuerySet[VoucherUsage]:
    """The uses that a person made, of whosever vouchers, newest first."""
    return VoucherUsage.objects.filter(user=person).select_related("voucher").order_by("-used_at", "-id")


def extend_person_screen() -> None:
    """Add both to the page of a person."""
    UserAdmin.register_part(
        Part(
            "Vouchers",
            Voucher,
            selectors.vouchers_of,
            (
                ("code", lambda voucher: codes.mask_code(voucher.code)),
                ("type", lambda voucher: voucher.sold_as),
                ("status", lambda voucher: voucher.status_at(timezone.now()).label),
                ("uses made", lambda voucher: f"{voucher.uses_made} of {voucher.total_uses}"),
                ("bought", lambda voucher: voucher.purchase_date),
                ("expires", lambda voucher: voucher.expiry_date),
            ),
            "person",
        ),
        Part(
            "Redemptions",
            VoucherUsage,
            redemptions_of,
            (
                ("at", lambda usage: usage.used_at),
                ("service", lambda usage: service_name(usage.service_type)),
                ("voucher", lambda usage: codes.mask_code(usage.voucher.code)),
                ("use", lambda usage: usage.use_no),
            ),
            "person",
        ),
    )
