"""The JSON built from rows is, byte for byte, what the documented serializers write."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, JSONField, Q, Value
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from apps.core.api.documents import json_bytes
from apps.users.tests.factories import make_customer, make_other_customer
from apps.vouchers import codes, selectors, services
from apps.vouchers.documents import type_document, usage_document, voucher_document
from apps.vouchers.models import Hold, Voucher, VoucherType, VoucherUsage
from apps.vouchers.rows import (
    TYPE_COLUMNS,
    USAGE_COLUMNS,
    VOUCHER_COLUMNS,
    TypeRow,
    UsageRow,
    VoucherRow,
)
from apps.vouchers.serializers import UsageOutput, VoucherOutput, VoucherTypeOutput
from tests.support.cases import ApiTestCase

from .factories import held, make_expired_voucher, make_type, make_used_voucher, make_voucher

AWKWARD_TEXTS = (
    "Ünïcode \u2028 \u2029 \U0001f600",
    'Quotes " \\ </script>',
    "نتائج الامتحان",
    "考试结果\n",
    "x" * 200,
)
AWKWARD_DETAILS: tuple[Any, ...] = (
    {},
    {"b": 1, "a": [None, True, False, -0.5, 1e20, 10**31, 0.1], "": {"deep": [{"er": []}]}},
    {"text": AWKWARD_TEXTS[0], "desk": "\uff13"},
    ["a list", {"of": "things"}],
    "text",
    7,
    None,
    False,
)


def rendered(serializer: Any) -> bytes:
    text: bytes = JSONRenderer().render(serializer.data)
    return text


class VoucherDocumentsTest(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer, self.other_customer = make_customer(), make_other_customer()

    def assertSameTypes(self) -> None:
        types = VoucherType.objects.order_by("id")
        documents = [type_document(TypeRow(*row)) for row in types.values_list(*TYPE_COLUMNS)]
        self.assertEqual(json_bytes(documents), rendered(VoucherTypeOutput(types, many=True)))

    def assertSameVouchers(self) -> None:
        vouchers = Voucher.objects.order_by("id")
        now = timezone.now()
        documents = [
            voucher_document(VoucherRow(*row), now) for row in vouchers.values_list(*VOUCHER_COLUMNS)
        ]
        self.assertEqual(json_bytes(documents), rendered(VoucherOutput(vouchers, many=True)))

    def test_types_of_any_price_and_script(self):
        for number, name in enumerate(AWKWARD_TEXTS):
            make_type(
                name=name,
                description=name[::-1] * 3,
                price=Decimal(f"{10**number - 1}.{number}"),
                currency=("USD", "EUR", "XOF", "KWD", "GHS")[number],
                is_active=bool(number % 2),
            )
        self.assertSameTypes()

    def test_vouchers_in_every_status_and_held_for_every_reason(self):
        make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3, price="0"))
        make_used_voucher(owner=self.customer)
        make_expired_voucher(owner=self.customer)
        for hold in Hold:
            make_voucher(owner=self.customer, **held(hold))
        make_voucher(owner=self.customer, **held(*Hold))
        self.assertSameVouchers()

    def test_vouchers_whose_type_was_renamed_and_repriced_since(self):
        for number, name in enumerate(AWKWARD_TEXTS):
            voucher_type = make_type(name=f"Before {name}"[:200], currency=("USD", "EUR")[number % 2])
            make_voucher(owner=self.customer, voucher_type=voucher_type)
            make_voucher(owner=self.customer, voucher_type=voucher_type, type_name="")  # not kept
            VoucherType.objects.filter(pk=voucher_type.pk).update(
                name=name, price=F("price") + Decimal("0.99"), currency="GHS", service_type=f"s-{number}"
            )
        self.assertSameVouchers()

    def test_days_are_counted_by_the_local_date(self):
        for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
            with timezone.override(zone):
                for hours in (-30, -1, 1, 12, 23, 25, 49, 24 * 400):
                    make_voucher(owner=self.customer, expiry_date=timezone.now() + timedelta(hours=hours))
                self.assertSameVouchers()

    def test_uses_with_details_of_every_kind(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=len(AWKWARD_DETAILS)))
        for details in AWKWARD_DETAILS:
            usage = services.redeem_voucher(code=voucher.code, user=self.other_customer)
            VoucherUsage.objects.filter(pk=usage.pk).update(details=Value(details, JSONField()))
        VoucherType.objects.update(name=AWKWARD_TEXTS[0])
        usages = VoucherUsage.objects.order_by("id")
        rows = usages.annotate(hides_code=Value(False)).values_list(*USAGE_COLUMNS)
        documents = [usage_document(UsageRow(*row)) for row in rows]
        self.assertEqual([document["details"] for document in documents], list(AWKWARD_DETAILS))
        self.assertEqual(json_bytes(documents), rendered(UsageOutput(usages, many=True)))

    def test_uses_of_a_voucher_that_has_a_new_code(self):
        for owner in (self.customer, self.other_customer):
            voucher = make_voucher(owner=owner, voucher_type=make_type(max_uses=2))
            services.redeem_voucher(code=voucher.code, user=self.customer)
            services.reissue_voucher(voucher_id=voucher.pk, actor=self.other_customer, reason="Lost.")
        usages = selectors.usages_by(self.customer)
        rows = usages.annotate(hides_code=Q(reissued=True) & ~Q(voucher__user=F("user")))
        documents = [usage_document(UsageRow(*row)) for row in rows.values_list(*USAGE_COLUMNS)]
        self.assertEqual([document["voucher_code"] == codes.HIDDEN for document in documents], [True, False])
        self.assertEqual(json_bytes(documents), rendered(UsageOutput(usages, many=True)))
