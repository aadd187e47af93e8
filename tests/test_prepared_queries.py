"""Queries that are compiled once give what the queryset gives, on every database."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, models
from django.db.models import F, Q, Sum
from django.db.models.functions import Cast, Now, TruncDate
from django.test import override_settings
from django.utils import timezone

from apps.authentication import services
from apps.authentication.models import Session
from apps.core.prepared_queries import Ids, PreparedQuery, PreparedUpdate
from apps.users.tests.factories import make_customer, make_other_customer
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_expired_voucher, make_type, make_used_voucher, make_voucher
from tests.support.cases import ApiTestCase


class VoucherRow(NamedTuple):
    code: str
    face_value: Decimal
    expiry_date: object
    is_active: bool
    type_name: str


def _vouchers(owner: Any) -> models.QuerySet[Voucher, tuple[Any, ...]]:
    columns = ("code", "face_value", "expiry_date", "is_active", "voucher_type__name")
    return Voucher.objects.filter(user_id=owner).order_by("-id").values_list(*columns)


VOUCHERS = PreparedQuery(VoucherRow, _vouchers, owner=models.BigAutoField())
DETAILS = PreparedQuery(
    lambda *columns: columns,
    lambda owner, moment: Voucher.objects.filter(Q(user_id=owner), Q(expiry_date__gt=moment)).values_list(
        "usages__details", "usages__used_at"
    ),
    owner=models.BigAutoField(),
    moment=models.DateTimeField(),
)
# PostgreSQL adds integers up as one of twice the size, and the largest as a decimal.
SUMS = PreparedQuery(
    lambda *columns: columns,
    lambda owner: (
        Voucher.objects.filter(user_id=owner)
        .order_by()
        .values("user_id")
        .annotate(
            uses=Sum("total_uses"),
            large=Sum(Cast("total_uses", models.BigIntegerField())),
            value=Sum("face_value"),
        )
        .values_list("uses", "large", "value")
    ),
    owner=models.BigAutoField(),
)
SESSION_IDS = PreparedQuery(
    lambda sid: sid, lambda sid: Session.objects.filter(id=sid).values_list("id"), sid=models.UUIDField()
)
REDEEMABLE = PreparedQuery(
    lambda pk: pk,
    lambda owner: Voucher.objects.filter(user_id=owner, expiry_date__gt=Now()).values_list("id"),
    owner=models.BigAutoField(),
)

EXTEND = PreparedUpdate(
    lambda owner, moment: (
        Voucher.objects.filter(user_id=owner, expiry_date__lt=moment).order_by("-id"),
        {"expiry_date": moment, "uses_reversed": F("uses_reversed") + 1},
    ),
    owner=models.BigAutoField(),
    moment=models.DateTimeField(),
)


class PreparedQueriesTest(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.carla = make_customer()
        self.otto = make_other_customer()

    def test_rows_are_those_of_the_queryset(self):
        voucher_type = make_type(price=Decimal("7.50"))
        for _ in range(3):
            make_voucher(owner=self.carla, voucher_type=voucher_type)
        make_voucher(owner=self.otto)
        for owner, number in ((self.carla, 3), (self.otto, 1)):
            with self.assertQueries(1):
                rows = VOUCHERS.rows(owner=owner.pk)
            self.assertEqual(rows, [VoucherRow(*row) for row in _vouchers(owner.pk)])
            self.assertEqual(len(rows), number)

    def test_the_sql_is_compiled_once(self):
        query = PreparedQuery(VoucherRow, _vouchers, owner=models.BigAutoField())
        query.rows(owner=self.carla.pk)
        query.build = None  # type: ignore[assignment]  # a second compilation fails
        self.assertEqual(query.rows(owner=self.carla.pk), [])

    def test_json_and_times_are_converted(self):
        make_used_voucher(owner=self.carla)
        [(details, used_at)] = DETAILS.rows(owner=self.carla.pk, moment=timezone.now())
        self.assertEqual(details, {})
        self.assertLess(abs(used_at - timezone.now()), timedelta(minutes=1))
        self.assertEqual(DETAILS.rows(owner=self.carla.pk, moment=timezone.now() + timedelta(days=999)), [])

    def test_sums_have_the_types_of_their_fields_on_every_database(self):
        for _ in range(2):
            make_voucher(owner=self.carla, voucher_type=make_type(price=Decimal("7.50")))
        [sums] = SUMS.rows(owner=self.carla.pk)
        self.assertEqual(sums, (2, 2, Decimal("15.00")))
        self.assertEqual([type(each) for each in sums], [int, int, Decimal])

    def test_an_identifier_is_written_as_the_database_keeps_it(self):
        services.open_session(user=self.carla)
        session = Session.objects.get()
        self.assertEqual(SESSION_IDS.first(sid=session.pk), session.pk)

    def test_the_time_is_that_of_the_call(self):
        voucher = make_voucher(owner=self.carla)
        make_expired_voucher(owner=self.carla)
        self.assertEqual(REDEEMABLE.rows(owner=self.carla.pk), [voucher.pk])
        Voucher.objects.update(expiry_date=timezone.now() - timedelta(seconds=1))
        self.assertEqual(REDEEMABLE.rows(owner=self.carla.pk), [])

    def test_a_limit_and_an_offset_cut_a_page(self):
        for _ in range(5):
            make_voucher(owner=self.carla)
        everything = VOUCHERS.rows(owner=self.carla.pk)
        self.assertEqual(VOUCHERS.rows(owner=self.carla.pk, limit=2), everything[:2])
        self.assertEqual(VOUCHERS.rows(owner=self.carla.pk, limit=2, offset=3), everything[3:])
        self.assertEqual(VOUCHERS.first(owner=self.carla.pk), everything[0])
        self.assertIsNone(VOUCHERS.first(owner=self.otto.pk))

    def test_any_number_of_ids_is_one_parameter(self):
        vouchers = [make_voucher(owner=self.carla).pk for _ in range(3)]
        by_ids = PreparedQuery(
            lambda pk: pk,
            lambda ids: Voucher.objects.filter(pk__in=ids).order_by("id").values_list("id"),
            ids=Ids(),
        )
        for ids in ([], vouchers[:1], vouchers[1:]):
            self.assertEqual(by_ids.rows(ids=ids), ids)

    def test_days_are_those_of_the_time_zone_of_the_call(self):
        moment = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
        make_voucher(owner=self.carla, expiry_date=moment)
        days = PreparedQuery(
            lambda day: day,
            lambda owner: Voucher.objects.filter(user_id=owner).values_list(
                TruncDate("expiry_date", tzinfo=timezone.get_default_timezone())
            ),
            owner=models.BigAutoField(),
        )
        for zone, day in (("UTC", 1), ("Asia/Kolkata", 2), ("UTC", 1)):
            with override_settings(TIME_ZONE=zone):
                self.assertEqual(days.rows(owner=self.carla.pk), [date(2026, 3, day)])

    def test_a_value_is_data_and_not_sql(self):
        by_code = PreparedQuery(
            lambda pk: pk,
            lambda code: Voucher.objects.filter(code=code).values_list("id"),
            code=models.CharField(),
        )
        make_voucher(owner=self.carla)
        for value in ("' OR 1=1 --", "%s", "%", "\\"):
            self.assertEqual(by_code.rows(code=value), [], connection.vendor)

    def test_an_update_changes_its_rows_and_counts_them(self):
        mine = [make_voucher(owner=self.carla) for _ in range(2)]
        theirs = make_voucher(owner=self.otto)
        moment = timezone.now() + timedelta(days=999)
        for changed in (2, 0):
            with self.assertQueries(1):
                self.assertEqual(EXTEND.execute(owner=self.carla.pk, moment=moment), changed)
        for voucher, extended in ((mine[0], 1), (mine[1], 1), (theirs, 0)):
            voucher.refresh_from_db()
            self.assertEqual((voucher.expiry_date == moment, voucher.uses_reversed), (extended, extended))
