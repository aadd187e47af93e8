"""What owner and staff are told of a voucher's history: in its detail, in the export, after a closed account."""

from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.users.tests.factories import PASSWORD, make_other_customer, make_staff, make_user
from apps.vouchers import services
from apps.vouchers.models import Voucher, VoucherEvent
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase

EXPORT = "/api/users/export/"


class HistoryTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer, self.staff = make_user(email="carla@example.com"), make_staff()
        self.voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=2))
        services.suspend_vouchers([self.voucher.pk], actor=self.staff, reason="Reported as stolen")
        services.release_vouchers([self.voucher.pk], actor=self.staff, reason="Found again")
        # As a buyer's own request for a refund does.
        services.sync_money_holds(
            {self.voucher.pk: [Hold.REFUND_PENDING]}, reason="Refund 1 requested", actor=self.customer
        )

    def history(self, user):
        response = self.signed_in(user).get(f"/api/vouchers/detail/{self.voucher.code}/")
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()["history"]


class DetailTests(HistoryTestCase):
    def test_the_owner_reads_what_happened_and_why_but_not_the_names_of_staff(self):
        events = self.history(self.customer)
        self.assertEqual(
            [(each["kind"], each["reason"], each["actor"]) for each in events],
            [
                ("issued", "", "system"),
                ("suspended", "Reported as stolen", "staff"),
                ("released", "Found again", "staff"),
                ("held", "Refund 1 requested", "you"),
            ],
        )
        self.assertEqual({frozenset(each) for each in events}, {frozenset(("kind", "reason", "at", "actor"))})
        for each in events:
            self.assertRegex(each["at"], r"\A\d{4}-\d\d-\d\dT[\d:.]+Z\Z")
        self.assertNotIn(self.staff.email, str(events))

    def test_staff_read_who_it_was(self):
        self.assertEqual(
            [each["actor"] for each in self.history(self.staff)],
            ["system", self.staff.email, self.staff.email, self.customer.email],
        )

    def test_what_is_issued_with_a_reason_tells_it(self):
        services.issue_vouchers(
            voucher_type_id=self.voucher.voucher_type_id,
            owner_id=self.customer.pk,
            quantity=1,
            terms=services.terms_of(self.voucher.voucher_type),
            issued_at=timezone.now(),
            actor_id=self.staff.pk,
            reason="Batch Class of 2027",
        )
        self.voucher = Voucher.objects.latest("pk")
        [issued] = self.history(self.customer)
        self.assertEqual((issued["actor"], issued["reason"]), ("staff", "Batch Class of 2027"))

    def test_a_long_history_takes_the_same_three_queries(self):
        api = self.signed_in(self.customer)
        for days in (1, 2, 3):
            until = timezone.localdate(self.voucher.expiry_date) + timedelta(days=days)
            services.extend_voucher(voucher_id=self.voucher.pk, until=until, actor=self.staff, reason="x")
            with self.assertQueries(3):  # who asks, the voucher with its uses, its history
                api.get(f"/api/vouchers/detail/{self.voucher.code}/")

    def test_nobody_else_reads_it(self):
        api = self.signed_in(make_other_customer())
        response = api.get(f"/api/vouchers/detail/{self.voucher.code}/")
        self.assertProblem(response, 404, "voucher_not_found")


class ExportTests(HistoryTestCase):
    def test_it_has_the_history_of_ones_own_vouchers(self):
        other = make_voucher(owner=make_other_customer())
        events = self.signed_in(self.customer).get(EXPORT).json()["voucher_history"]
        self.assertEqual({each["voucher_code"] for each in events}, {self.voucher.shown_code})
        self.assertEqual([each["kind"] for each in events], ["issued", "suspended", "released", "held"])
        self.assertEqual([each["actor"] for each in events], ["system", "staff", "staff", "you"])
        self.assertNotIn(other.shown_code, str(events))


class ClosingTests(HistoryTestCase):
    def close(self, user):
        response = self.signed_in(user).delete("/api/users/profile/", {"password": PASSWORD})
        self.assertEqual(response.status_code, 204, response.content)

    def test_each_voucher_of_the_owner_tells_of_it_and_keeps_what_was_said_before(self):
        second = make_voucher(owner=self.customer)
        other = make_voucher(owner=make_other_customer())
        before = list(VoucherEvent.objects.order_by("pk").values())
        self.close(self.customer)
        self.assertEqual(list(VoucherEvent.objects.order_by("pk").values())[: len(before)], before)
        closed = VoucherEvent.objects.filter(kind="closed")
        self.assertEqual(
            sorted(closed.values_list("voucher_id", "actor_id", "reason")),
            sorted((voucher.pk, self.customer.pk, "") for voucher in (self.voucher, second)),
        )
        self.assertFalse(closed.filter(voucher=other).exists())
        self.assertNotIn("carla", str(self.history(self.staff)))
        self.assertEqual(self.history(self.staff)[-1]["kind"], "closed")

    def test_a_wrong_password_leaves_no_trace(self):
        api = self.signed_in(self.customer)
        self.assertEqual(api.delete("/api/users/profile/", {"password": "wrong"}).status_code, 400)
        self.assertFalse(VoucherEvent.objects.filter(kind="closed").exists())

    def test_it_takes_as_many_queries_for_many_vouchers_as_for_few(self):
        counts = []
        for vouchers in (2, 40):
            owner = make_user()
            for _ in range(vouchers):
                make_voucher(owner=owner, voucher_type=self.voucher.voucher_type)
            with CaptureQueriesContext(connection) as captured:
                services.record_closing(user=owner)
            counts.append(len(captured))
        self.assertEqual(counts[0], counts[1])
