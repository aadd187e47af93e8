"""The history of vouchers: written with what it tells, and never changed."""

from importlib import import_module

from django.apps import apps
from django.db import IntegrityError, connection, transaction

from apps.users.tests.factories import make_user
from apps.vouchers import codes, services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import make_voucher
from tests.support.cases import ApiTestCase

COPIED = (
    "voucher_type user service_type face_value currency purchase_date expiry_date total_uses uses_remaining"
).split()


class AppendOnlyTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.voucher = make_voucher(owner=make_user())

    def test_the_database_refuses_to_change_or_delete_a_row(self):
        for attempt in (
            lambda: VoucherEvent.objects.update(reason="never happened"),
            lambda: VoucherEvent.objects.all()._raw_delete("default"),
            lambda: connection.cursor().execute("DELETE FROM vouchers_voucherevent"),
        ):
            with self.assertRaises(IntegrityError), transaction.atomic():
                attempt()
        self.assertEqual(VoucherEvent.objects.get().reason, "")

    def test_each_append_only_table_has_its_trigger_after_all_migrations(self):
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE '%%append_only'")
                expected = 3
            else:
                cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
                expected = 6
            self.assertEqual(len(cursor.fetchall()), expected)

    def test_migrating_back_and_forth_tells_of_no_issue_twice(self):
        late = Voucher.objects.create(
            code=codes.make(), **{name: getattr(self.voucher, name) for name in COPIED}
        )  # as from a time without history
        filling = import_module("apps.vouchers.migrations.0003_fill_holds_and_history")
        for _ in range(2):
            filling.fill(apps, None)
            events = VoucherEvent.objects.order_by("voucher_id").values_list("voucher_id", "kind")
            self.assertEqual(list(events), [(self.voucher.pk, "issued"), (late.pk, "issued")])


class HoldTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.voucher = make_voucher(owner=make_user())

    def sync(self, *holds):
        return services.sync_money_holds({self.voucher.pk: holds}, reason="because")

    def history(self):
        return list(VoucherEvent.objects.values_list("kind", "hold"))

    def test_a_hold_makes_it_inactive_and_another_kind_of_hold_outlasts_it(self):
        Voucher.objects.filter(pk=self.voucher.pk).update(
            holds="suspended", is_active=False, inactive_reason="by_staff"
        )
        self.assertEqual(self.sync(Hold.DISPUTED), 1)
        self.voucher.refresh_from_db()
        self.assertEqual(
            (self.voucher.holds, self.voucher.inactive_reason), ("disputed suspended", "disputed")
        )
        self.assertEqual(self.sync(), 1)
        self.voucher.refresh_from_db()
        self.assertEqual((self.voucher.is_active, self.voucher.inactive_reason), (False, "by_staff"))
        self.assertEqual(
            self.history(), [("issued", ""), ("suspended", "disputed"), ("released", "disputed")]
        )

    def test_doing_it_again_changes_and_records_nothing(self):
        self.assertEqual(self.sync(Hold.REFUND_PENDING), 1)
        self.assertEqual(self.sync(Hold.REFUND_PENDING), 0)
        self.assertEqual(len(self.history()), 2)

    def test_a_hold_that_gives_way_to_another_is_told_by_the_other_alone(self):
        self.sync(Hold.REFUND_PENDING)
        self.sync(Hold.REFUNDED)
        self.assertEqual(self.history(), [("issued", ""), ("held", "refund_pending"), ("voided", "refunded")])
        self.voucher.refresh_from_db()
        self.assertEqual(self.voucher.inactive_reason, "refunded")
