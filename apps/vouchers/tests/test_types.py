"""GET /api/vouchers/types/, and the command that makes the samples."""

import hashlib
from collections.abc import Callable
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.test.utils import tag
from rest_framework.renderers import JSONRenderer

from apps.users.tests.factories import make_user
from apps.vouchers import selectors, type_list
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.serializers import VoucherTypeOutput
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase

URL = "/api/vouchers/types/"


@tag("smoke")
class TypesTests(ApiTestCase):
    def test_it_lists_the_active_types_by_name_for_everyone(self):
        later = make_type(name="Zeta", description="Last", price="25.50", validity_days=30, max_uses=3)
        make_type(name="Alpha")
        make_type(name="Retired", is_active=False)
        response = self.api.get(URL)
        self.assertEqual(response.status_code, 200)
        self.assertEqual([row["name"] for row in response.json()], ["Alpha", "Zeta"])
        self.assertEqual(
            response.json()[1],
            {
                "id": later.pk,
                "name": "Zeta",
                "description": "Last",
                "price": "25.50",
                "currency": "USD",
                "service_type": "exam_results",
                "validity_days": 30,
                "max_uses": 3,
                "is_active": True,
            },
        )

    def test_it_takes_one_query_whatever_the_number_of_types(self):
        for _ in range(5):
            make_type()
        with self.assertQueries(1):
            self.api.get(URL)

    def test_it_answers_not_modified_until_something_changes(self):
        voucher_type = make_type()
        etag = self.api.get(URL).headers["ETag"]
        self.assertEqual(self.api.get(URL, headers={"If-None-Match": etag}).status_code, 304)
        VoucherType.objects.filter(pk=voucher_type.pk).update(price=11)
        self.assertEqual(self.api.get(URL, headers={"If-None-Match": etag}).status_code, 200)

    def test_a_change_made_in_whatever_way_is_seen_at_once(self):
        kind, other = make_type(name="Alpha"), make_type(name="Beta")
        types = VoucherType.objects.filter(pk=kind.pk)

        def in_sql(statement: str) -> None:  # as a migration, or another process
            with connection.cursor() as cursor:
                cursor.execute(statement, [kind.pk])

        def saved() -> None:
            kind.name = "Saved"
            kind.save(update_fields=("name",))

        changes: tuple[Callable[[], Any], ...] = (
            saved,
            lambda: types.update(description="Updated"),
            lambda: VoucherType.objects.bulk_update([VoucherType(pk=kind.pk, price=12)], ["price"]),
            lambda: in_sql("UPDATE vouchers_vouchertype SET max_uses = max_uses + 1 WHERE id = %s"),
            lambda: types.update(currency="EUR"),
            lambda: types.update(validity_days=9),
            lambda: types.update(service_type="other"),
            lambda: types.update(name="Zeta"),
            make_type,
            lambda: types.update(is_active=False),
            lambda: types.update(is_active=True),
            other.delete,
            lambda: in_sql("DELETE FROM vouchers_vouchertype WHERE id = %s"),
        )
        before = self.api.get(URL)
        for number, change in enumerate(changes):
            with self.subTest(number):
                change()
                after = self.api.get(URL, headers={"If-None-Match": before.headers["ETag"]})
                self.assertEqual(after.status_code, 200)
                shown = VoucherTypeOutput(selectors.types_on_sale(), many=True).data
                self.assertEqual(after.content, JSONRenderer().render(shown))
                self.assertNotEqual(after.content, before.content)
                before = after

    def test_what_is_rolled_back_is_never_shown(self):
        kind = make_type()
        before = self.api.get(URL).content
        try:
            with transaction.atomic():
                VoucherType.objects.filter(pk=kind.pk).update(price=99)
                self.assertNotEqual(self.api.get(URL).content, before)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        self.assertEqual(self.api.get(URL).content, before)

    def test_unchanged_types_are_written_as_json_once(self):
        make_type()
        self.assertIs(type_list.types_on_sale(), type_list.types_on_sale())

    def test_its_headers_are_those_of_other_answers(self):
        make_type()
        response = self.api.get(URL)
        self.assertEqual(response.headers["Content-Type"], "application/json")
        self.assertEqual(response.headers["Cache-Control"], "public, max-age=60")
        digest = hashlib.md5(response.content).hexdigest()  # as Django's middleware makes it
        self.assertEqual(response.headers["ETag"], f'"{digest}"')
        indented = self.api.get(URL, headers={"Accept": "application/json; indent=2"})
        self.assertEqual(indented.json(), response.json())
        self.assertIn(b"\n  {", indented.content)
        self.assertNotEqual(indented.headers["ETag"], response.headers["ETag"])

    def test_a_stale_token_does_not_bar_the_public_list(self):
        response = self.api.get(URL, headers={"Authorization": "Bearer long-gone"})
        self.assertEqual(response.status_code, 200)


class SamplesTests(ApiTestCase):
    def test_it_makes_the_four_samples_and_brings_them_back_when_repeated(self):
        call_command("create_sample_vouchers", stdout=StringIO())
        VoucherType.objects.filter(service_type="exam_results").update(price=99, is_active=False)
        call_command("create_sample_vouchers", stdout=StringIO())
        samples = {
            (sample.name, sample.service_type, str(sample.price), sample.currency, sample.is_active)
            for sample in VoucherType.objects.all()
        }
        self.assertEqual(
            samples,
            {
                ("Exam Results Checking", "exam_results", "10.00", "USD", True),
                ("School Application", "school_application", "25.00", "USD", True),
                ("Placement Application", "placement_application", "35.00", "USD", True),
                ("Document Verification", "document_verification", "15.00", "USD", True),
            },
        )


class ConstraintTests(ApiTestCase):
    """What the schema itself refuses, whatever the code does."""

    def assertRefused(self, change):
        with self.assertRaises(IntegrityError), transaction.atomic():
            change()

    def test_a_type_has_no_negative_price_and_lasts_and_is_used_at_least_once(self):
        row = VoucherType.objects.filter(pk=make_type().pk)
        for wrong in ({"price": -1}, {"validity_days": 0}, {"max_uses": 0}):
            with self.subTest(wrong):
                self.assertRefused(lambda wrong=wrong: row.update(**wrong))

    def test_a_voucher_has_uses_within_its_total_and_a_reason_when_inactive(self):
        voucher = Voucher.objects.filter(pk=make_voucher(owner=make_user()).pk)
        for wrong in (
            {"uses_remaining": 2},
            {"uses_remaining": -1},
            {"total_uses": 0, "uses_remaining": 0},
            {"is_active": False},
            {"inactive_reason": "refunded"},
            {"holds": "refunded"},
            {"is_active": False, "inactive_reason": "refunded"},
            {"is_active": False, "inactive_reason": "whim", "holds": "whim"},
        ):
            with self.subTest(wrong):
                self.assertRefused(lambda wrong=wrong: voucher.update(**wrong))

    def test_two_vouchers_never_share_a_code(self):
        owner = make_user()
        first, second = make_voucher(owner=owner), make_voucher(owner=owner)
        self.assertRefused(lambda: Voucher.objects.filter(pk=second.pk).update(code=first.code))

    def test_people_and_types_with_books_cannot_be_deleted(self):
        voucher = make_voucher(owner=make_user())
        for behind in (voucher.user, voucher.voucher_type):
            with self.assertRaises(ProtectedError):
                behind.delete()
        self.assertTrue(Voucher.objects.filter(pk=voucher.pk).exists())
