"""The JSON built from rows is, byte for byte, what the documented serializers write."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, JSONField, Prefetch, Value
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from apps.core.api.documents import json_bytes
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers import codes, selectors, services
from apps.vouchers.documents import type_document, usage_document, voucher_document
from apps.vouchers.models import Voucher, VoucherEvent, VoucherType, VoucherUsage
from apps.vouchers.rows import (
    TYPE_COLUMNS,
    USAGE_COLUMNS,
    VOUCHER_COLUMNS,
    TypeRow,
    UsageRow,
    VoucherRow,
)
from apps.vouchers.serializers import (
    StatisticsOutput,
    UsageOutput,
    VoucherDetailOutput,
    VoucherOutput,
    VoucherTypeOutput,
)
from apps.vouchers.states import Hold
from tests.support.cases import ApiTestCase

from .factories import held, make_expired_voucher, make_type, make_usage, make_used_voucher, make_voucher

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
            usage = make_usage(code=voucher.code, user=self.other_customer)
            VoucherUsage.objects.filter(pk=usage.pk).update(details=Value(details, JSONField()))
        VoucherType.objects.update(name=AWKWARD_TEXTS[0])
        usages = VoucherUsage.objects.order_by("id")
        rows = usages.annotate(reissued=Value(False)).values_list(*USAGE_COLUMNS)
        documents = [usage_document(UsageRow(*row)) for row in rows]
        self.assertEqual([document["details"] for document in documents], list(AWKWARD_DETAILS))
        self.assertEqual(json_bytes(documents), rendered(UsageOutput(usages, many=True)))

    def test_uses_of_a_voucher_that_has_a_new_code(self):
        for owner in (self.customer, self.other_customer):
            voucher = make_voucher(owner=owner, voucher_type=make_type(max_uses=2))
            services.redeem_voucher(code=voucher.code, user=self.customer)
            services.reissue_voucher(voucher_id=voucher.pk, actor=self.other_customer, reason="Lost.")
        usages = selectors.usages_by(self.customer)
        documents = [usage_document(UsageRow(*row)) for row in usages.values_list(*USAGE_COLUMNS)]
        self.assertEqual([document["voucher_code"] == codes.HIDDEN for document in documents], [True, False])
        self.assertEqual(json_bytes(documents), rendered(UsageOutput(usages, many=True)))


class AnswersTest(ApiTestCase):
    """The same of whole answers, as clients get them."""

    def setUp(self) -> None:
        super().setUp()
        self.customer, self.other_customer = make_customer(), make_other_customer()
        self.staff = make_staff()
        voucher_type = make_type(max_uses=4, name=AWKWARD_TEXTS[0])
        for currency in ("USD", "EUR", "GHS"):
            self.voucher = make_voucher(
                owner=self.customer, voucher_type=make_type(max_uses=9, currency=currency)
            )
            make_voucher(owner=self.customer, voucher_type=voucher_type, currency=currency)
        for user in (self.customer, self.other_customer):
            services.redeem_voucher(code=self.voucher.code, user=user, details={"desk": AWKWARD_TEXTS[2]})
        for actor, reason in ((self.customer, ""), (self.staff, AWKWARD_TEXTS[1])):
            services.reissue_voucher(voucher_id=self.voucher.pk, actor=actor, reason=reason)
        make_used_voucher(owner=self.customer)
        make_expired_voucher(owner=self.customer)
        make_voucher(owner=self.customer, **held(Hold.DISPUTED))
        VoucherType.objects.update(name=F("id"))
        self.voucher.refresh_from_db()

    def assertAnswer(self, user: User, path: str, document: Any) -> None:
        response = self.signed_in(user).get(f"/api/vouchers/{path}")
        self.assertEqual(response.content, JSONRenderer().render(document))
        self.assertEqual(response.headers["Content-Type"], "application/json")

    def page(self, results: Any) -> dict[str, Any]:
        return {"count": len(results), "next": None, "previous": None, "results": results}

    def test_lists(self):
        for user in (self.customer, self.other_customer):
            vouchers = VoucherOutput(selectors.vouchers_of(user), many=True).data
            self.assertAnswer(user, "my-vouchers/", self.page(vouchers))
            self.assertAnswer(user, "my-vouchers/?ordering=-purchase_date", self.page(vouchers))
            uses = UsageOutput(selectors.usages_by(user), many=True).data
            self.assertAnswer(user, "usage-history/", self.page(uses))
            self.assertAnswer(user, "usage-history/?from=2020-01-01", self.page(uses))

    def test_an_indent_is_kept(self):
        api = self.signed_in(self.customer)
        for path in ("my-vouchers/", "stats/", f"detail/{self.voucher.code}/"):
            plain = api.get(f"/api/vouchers/{path}")
            indented = api.get(f"/api/vouchers/{path}", headers={"Accept": "application/json; indent=3"})
            self.assertEqual(
                indented.content, JSONRenderer().render(plain.json(), "application/json; indent=3")
            )

    def test_detail(self):
        latest = VoucherUsage.objects.order_by("-used_at", "-id")
        for voucher in Voucher.objects.prefetch_related(
            Prefetch("usages", latest, to_attr="latest_usages"),
            Prefetch("events", VoucherEvent.objects.order_by("id")),
        ):
            for viewer in (self.customer, self.staff):
                document = VoucherDetailOutput(voucher, context={"viewer": viewer}).data
                self.assertAnswer(viewer, f"detail/{voucher.code}/", document)

    def test_statistics(self):
        for user in (self.customer, self.other_customer):
            statistics = selectors.statistics_of(user, now=timezone.now(), currency="USD")
            self.assertAnswer(user, "stats/", StatisticsOutput(statistics).data)
