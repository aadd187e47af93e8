"""Giving a use back: services.reverse_usage, and what the owner sees of it."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.test import override_settings
from django.utils import timezone

from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers import errors, services
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_type, make_usage, make_used_voucher, make_voucher
from tests.support.cases import ApiTestCase

REDEEM = "/api/vouchers/redeem/"
REASON = "The desk redeemed the wrong voucher"


class ReversalTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer, self.staff = make_customer(), make_staff()
        self.voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=2))
        self.usage = make_usage(code=self.voucher.code, user=self.customer)

    def reverse(self, usage=None, reason=REASON):
        return services.reverse_usage(usage_id=(usage or self.usage).pk, actor=self.staff, reason=reason)

    def state(self):
        voucher = Voucher.objects.values().get(pk=self.voucher.pk)
        rows = (VoucherUsage, UsageReversal, VoucherEvent)
        return voucher, [list(model.objects.order_by("pk").values()) for model in rows]

    def assertRefused(self, error, *arguments):
        """The refusal, and that it changed nothing."""
        before = self.state()
        with self.assertRaises(error) as raised:
            self.reverse(*arguments)
        self.assertEqual(self.state(), before)
        return raised.exception

    def use_was(self, days, **more):
        then = timezone.now() - timedelta(days=days, **more)
        VoucherUsage.objects.filter(pk=self.usage.pk).update(used_at=then)

    def test_the_voucher_has_its_use_again_and_the_usage_stays(self):
        before = VoucherUsage.objects.values().get()
        reversal = self.reverse(reason=f"  {REASON}\n")
        self.voucher.refresh_from_db()
        self.assertEqual((self.voucher.uses_remaining, self.voucher.uses_reversed), (2, 1))
        self.assertEqual(VoucherUsage.objects.values().get(), before)
        self.assertEqual((reversal.usage, reversal.actor, reversal.reason), (self.usage, self.staff, REASON))
        self.assertLess(abs(reversal.reversed_at - timezone.now()), timedelta(seconds=5))
        event = VoucherEvent.objects.get(voucher=self.voucher, kind="reversed")
        self.assertEqual((event.actor, event.reason, event.details), (self.staff, REASON, {"use_no": 1}))
        self.assertEqual(event.at, reversal.reversed_at)

    def test_the_numbers_of_later_uses_go_on(self):
        self.reverse()
        for expected in (2, 3):
            usage = make_usage(code=self.voucher.code, user=self.customer)
            self.assertEqual(usage.use_no, expected)
        with self.assertRaises(errors.VoucherUsedUp):
            services.redeem_voucher(code=self.voucher.code, user=self.customer)
        self.assertEqual(sorted(self.voucher.usages.values_list("use_no", flat=True)), [1, 2, 3])

    def test_a_used_voucher_is_active_again(self):
        voucher = make_used_voucher(owner=self.customer)
        self.reverse(voucher.usages.get())
        self.assertEqual(self.signed_in(self.customer).post(REDEEM, {"code": voucher.code}).status_code, 200)

    def test_it_takes_five_queries(self):
        with self.assertQueries(5):
            self.reverse()

    def test_a_use_is_given_back_once(self):
        self.reverse()
        services.redeem_voucher(code=self.voucher.code, user=self.customer)
        self.assertRefused(errors.AlreadyReversed)
        Voucher.objects.filter(pk=self.voucher.pk).update(uses_remaining=2)  # even where none is missing
        self.assertRefused(errors.AlreadyReversed)

    def test_the_schema_refuses_a_second_reversal(self):
        reversal = self.reverse()
        with self.assertRaises(IntegrityError), transaction.atomic():
            UsageReversal.objects.create(
                usage=self.usage, reversed_at=reversal.reversed_at, actor=self.staff, reason="again"
            )
        with self.assertRaises(IntegrityError), transaction.atomic():
            UsageReversal.objects.update(reason="never happened")

    def test_it_is_in_time_to_the_second_and_then_too_late(self):
        self.use_was(7, seconds=1)
        self.assertRefused(errors.ReversalTooLate)
        self.use_was(7, seconds=-30)
        self.reverse()

    @override_settings(REVERSAL_WINDOW_DAYS=0)
    def test_a_window_of_no_days_gives_nothing_back(self):
        self.use_was(0, seconds=1)
        self.assertRefused(errors.ReversalTooLate)

    @override_settings(REVERSAL_WINDOW_DAYS=10**12)
    def test_a_window_may_be_as_long_as_one_likes(self):
        self.use_was(3000)
        self.reverse()

    def test_what_is_held_gives_nothing_back_whatever_for(self):
        for hold in Hold:
            with self.subTest(hold):
                Voucher.objects.filter(pk=self.voucher.pk).update(**held(hold))
                error = self.assertRefused(errors.VoucherInactive)
                self.assertEqual(error.extra, {"reason": hold.inactive_reason})

    def test_an_expired_voucher_gets_it_back_and_stays_expired(self):
        over = timezone.now() - timedelta(hours=1)
        Voucher.objects.filter(pk=self.voucher.pk).update(expiry_date=over)
        self.use_was(1)
        self.reverse()
        self.voucher.refresh_from_db()
        self.assertEqual((self.voucher.uses_remaining, self.voucher.expiry_date), (2, over))
        self.assertEqual(self.voucher.status_at(timezone.now()), "expired")

    def test_it_refuses_a_use_that_there_is_not(self):
        for usage_id in (0, -1, self.usage.pk + 1, 2**63 - 1, 2**63, 10**40):
            with self.subTest(usage_id), self.assertRaises(errors.UsageNotFound):
                services.reverse_usage(usage_id=usage_id, actor=self.staff, reason=REASON)
        self.assertFalse(UsageReversal.objects.exists())

    def test_it_wants_a_reason(self):
        for reason in ("", " \n\t", "x" * 501):
            self.assertRefused(errors.ReasonInvalid, None, reason)
        self.reverse(reason="x" * 500)


class SightTests(ApiTestCase):
    """The use stays in the history; the figures count it no more."""

    def test_the_history_shows_the_use_and_the_statistics_do_not_count_it(self):
        customer, other = make_customer(), make_other_customer()
        voucher = make_voucher(owner=customer, voucher_type=make_type(max_uses=3))
        usages = [make_usage(code=voucher.code, user=other) for _ in range(2)]
        before = self.signed_in(other).get("/api/vouchers/usage-history/").json()
        services.reverse_usage(usage_id=usages[0].pk, actor=make_staff(), reason=REASON)
        self.assertEqual(self.signed_in(other).get("/api/vouchers/usage-history/").json(), before)
        owner = self.signed_in(customer)
        detail = owner.get(f"/api/vouchers/detail/{voucher.shown_code}/").json()
        self.assertEqual((detail["uses_remaining"], len(detail["usages"])), (2, 2))
        self.assertEqual(owner.get("/api/vouchers/stats/").json()["total_redemptions"], 1)
