"""What a redemption writes: PostgreSQL puts the voucher's new row beside the old one, and writes to no index."""

from datetime import timedelta
from typing import Any
from unittest import skipUnless

from django.db import connection
from django.test import tag
from django.utils import timezone

from apps.users.tests.factories import make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, sold_voucher
from tests.support.cases import ApiTestCase

REDEEM = "/api/vouchers/redeem/"
ISSUED, STEP = 600, 13  # several full pages, and a few vouchers of each


@tag("server")
@skipUnless(connection.vendor == "postgresql", "HOT updates are PostgreSQL's")
class RedeemWritesTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.owner = make_user()
        self.api = self.signed_in(self.owner)

    def updates(self) -> tuple[int, int]:
        """How many rows of vouchers this transaction has updated, and how many of these beside the old one."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'vouchers_voucher'"
            )
            row: tuple[int, int] = cursor.fetchone()
            return row

    def redeem_every(self, step: int, **fields: Any) -> tuple[int, int]:
        """Issue vouchers page upon page and redeem each `step`th; how many, and how many rows were updated in place."""
        kind = make_type(**fields)
        issued = Voucher.objects.bulk_create(
            sold_voucher(owner=self.owner, voucher_type=kind, at=timezone.now() - timedelta(seconds=number))
            for number in range(ISSUED)
        )
        redeemed = issued[::step]
        updated, in_place = self.updates()
        for voucher in redeemed:
            response = self.api.post(REDEEM, {"code": voucher.code})
            self.assertEqual(response.status_code, 200, response.content)
        updated_since, in_place_since = self.updates()
        self.assertEqual(updated_since - updated, len(redeemed))
        return len(redeemed), in_place_since - in_place

    def test_redeeming_vouchers_of_one_use_and_of_several_writes_to_no_index(self) -> None:
        for uses in (1, 5):
            with self.subTest(uses=uses):
                redeemed, in_place = self.redeem_every(STEP, max_uses=uses)
                self.assertEqual(in_place, redeemed)

    def test_control_an_index_with_the_uses_left_is_written_to_by_each(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX ON vouchers_voucher (user_id, uses_remaining)")
        _, in_place = self.redeem_every(STEP)
        self.assertEqual(in_place, 0)

    def test_control_full_pages_have_no_room_for_them(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE vouchers_voucher RESET (fillfactor)")
        redeemed, in_place = self.redeem_every(STEP)
        self.assertLess(in_place, redeemed)
