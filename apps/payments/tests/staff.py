"""A member of staff at the pages of the admin, and rows for each of their actions: what the tests of staff share."""

import time
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from post_office.models import Email

from apps.payments.models import Refund, Transaction
from apps.users.tests.factories import make_user
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase

from .money import PaidTestCase

VOUCHERS = "/admin/vouchers/voucher/"
USAGES = "/admin/vouchers/voucherusage/"
HISTORY = "/admin/vouchers/voucherevent/"
TRANSACTIONS = "/admin/payments/transaction/"
REFUNDS = "/admin/payments/refund/"
DISPUTES = "/admin/payments/dispute/"
VIEWS = (
    "view_voucher view_voucherusage view_voucherevent view_transaction view_soldvoucher view_refund"
    " view_refundedvoucher view_dispute"
).split()


class StaffTestCase(PaidTestCase, ApiTestCase):
    """`desk` may look at everything, and do what a test lets them. There is a voucher used and one that is not."""

    client_class: Any = Client  # it speaks as a browser does

    def setUp(self):
        super().setUp()
        self.type = make_type(max_uses=3)
        self.paid = self.buy(3)
        self.used, self.voucher, self.third = self.paid.vouchers
        self.redeem(self.used)
        self.usage = VoucherUsage.objects.get()
        self.other = self.buy(2)
        self.requested_refund = Refund.objects.get(pk=self.ask(self.other).json()["id"])
        self.desk = make_user(is_staff=True, email="desk@example.org")
        self.allow(*VIEWS)
        self.client.force_login(self.desk)
        later = timezone.localdate(self.voucher.expiry_date) + timedelta(days=10)
        # Where it is, its address, whom it is for, its permission, and what it asks besides the reason.
        self.actions: Any = (
            (VOUCHERS, "extend", "extend", self.voucher, "extend_voucher", {"until": later.isoformat()}),
            (VOUCHERS, "suspend", "suspend", self.voucher, "suspend_voucher", {}),
            (VOUCHERS, "release", "release", self.voucher, "suspend_voucher", {}),
            (VOUCHERS, "reissue", "reissue", self.voucher, "reissue_voucher", {"opened_at": time.time()}),
            (VOUCHERS, "void", "void", self.voucher, "void_voucher", {}),
            (VOUCHERS, "refund", "refund", self.third, "make_refund", {}),
            (USAGES, "reverse", "reverse", self.usage, "reverse_usage", {}),
            (TRANSACTIONS, "refund_unused", "refund-unused", self.paid, "make_refund", {}),
            (REFUNDS, "approve", "approve", self.requested_refund, "decide_refund", {}),
            (REFUNDS, "reject", "reject", self.requested_refund, "decide_refund", {}),
        )

    def allow(self, *codenames):
        self.desk.user_permissions.add(*Permission.objects.filter(codename__in=codenames))

    def choose(self, screen, action, *rows, **answers):
        body = {"action": action, "_selected_action": [row.pk for row in rows], **answers}
        return self.client.post(screen, body)

    def messages_after(self, response):
        """What the messages say after the redirect."""
        self.assertEqual(response.status_code, 302, response.content[:300])
        page = self.client.get(response.headers["Location"])
        return [str(message) for message in page.context["messages"]]

    def state(self):
        models: Any = (
            Voucher,
            VoucherUsage,
            UsageReversal,
            VoucherEvent,
            Transaction,
            Refund,
            LogEntry,
            Email,
        )
        return [list(model.objects.order_by("pk").values()) for model in models], self.stripe.refunds()

    def assertTellsNoCode(self, response):
        page = response.content.decode().upper()
        for voucher in Voucher.objects.all():
            self.assertNotIn(voucher.code, page)
            self.assertNotIn(voucher.shown_code, page)
