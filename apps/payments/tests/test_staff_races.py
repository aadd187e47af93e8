"""Staff act on vouchers in the admin while others redeem them or hold their rows."""

import threading
import time
from datetime import timedelta
from functools import partial
from unittest import skipUnless

from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from apps.users.tests.factories import make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import RaceTestCase

from .money import PaidTestCase
from .staff import VOUCHERS


class EditAndRedeemRaces(PaidTestCase, RaceTestCase):
    """Staff act on a voucher while others redeem it: no use is lost, and none is won."""

    def setUp(self):
        super().setUp()
        self.type = make_type(max_uses=8)

    def race(self, act):
        """The uses that are left, and those that should be, after four redemptions at the instant of `act`."""
        voucher = make_voucher(owner=self.customer, voucher_type=self.type)
        clients = [self.signed_in(make_user()) for _ in range(4)]
        body = {"code": voucher.code}
        calls = [partial(client.post, "/api/vouchers/redeem/", body) for client in clients]
        self.together(*calls, partial(act, voucher))
        voucher.refresh_from_db()
        return voucher.uses_remaining, 8 - VoucherUsage.objects.filter(voucher=voucher).count()

    def test_no_action_overwrites_the_counter(self):
        desk = Client()
        desk.force_login(self.staff)
        until = (timezone.localdate() + timedelta(days=700)).isoformat()
        for number in range(self.rounds):
            action = ("extend", "suspend")[number % 2]

            def act(voucher, action=action):
                return desk.post(f"{VOUCHERS}{voucher.pk}/{action}/", {"reason": "x", "until": until})

            left, expected = self.race(act)
            self.assertEqual(left, expected)

    @skipUnless(connection.vendor == "postgresql", "SQLite locks no rows")
    def test_a_row_that_is_busy_is_told_and_the_others_are_done(self):
        busy, free = (make_voucher(owner=self.customer, voucher_type=self.type) for _ in range(2))
        desk = Client()
        desk.force_login(self.staff)
        locked, answered = threading.Event(), threading.Event()

        def hold():
            with transaction.atomic():
                voucher_services.lock_vouchers([busy.pk])
                locked.set()
                answered.wait(20)

        def act():
            locked.wait(20)
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '200ms'")
            body = {"action": "suspend", "_selected_action": [busy.pk, free.pk], "confirmed": "yes"}
            try:
                return desk.post(VOUCHERS, {**body, "reason": "Odd"})
            finally:
                answered.set()

        with self.assertLogs("apps.core.backoffice.confirmed_actions", "ERROR"):
            _, response = self.together(hold, act)
        self.assertEqual(response.status_code, 302)
        said = [str(each) for each in desk.get(VOUCHERS).context["messages"]]
        self.assertEqual(len(said), 2, said)
        self.assertIn("The database is busy", said[0])
        self.assertEqual(said[1], "Suspended: 1.")
        for voucher, holds in ((busy, ""), (free, "suspended")):
            voucher.refresh_from_db()
            self.assertEqual(voucher.holds, holds)
        self.assertEqual(LogEntry.objects.count(), 1)

    def test_control_a_form_that_saves_the_whole_row_is_caught(self):
        def act(voucher):
            read = Voucher.objects.get(pk=voucher.pk)
            time.sleep(0.3)
            read.expiry_date += timedelta(days=1)
            read.save()

        self.assertTrue(
            any(left != expected for left, expected in (self.race(act) for _ in range(self.rounds)))
        )
