"""Of N simultaneous redeems of a voucher with k uses left, exactly k succeed."""

import time
from unittest.mock import patch

from django.utils import timezone

from apps.users.tests.factories import make_user
from apps.vouchers import codes, services
from apps.vouchers.errors import VoucherUsedUp
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import RaceTestCase

URL = "/api/vouchers/redeem/"
AT_ONCE = 60


def redeem_by_reading_first(*, code, user, service_type=None, details=None):
    """The broken twin: reads, checks, and writes back what it computed, each in a transaction of its own."""
    voucher = Voucher.objects.select_related("voucher_type").get(code=codes.parse(code))
    if voucher.uses_remaining == 0:
        raise VoucherUsedUp
    time.sleep(0.005)
    voucher.uses_remaining -= 1
    voucher.save(update_fields=["uses_remaining"])
    # Numbered as if the schema did not guard the numbers, so that nothing but the oracle catches it.
    return VoucherUsage.objects.create(
        voucher=voucher,
        user=user,
        service_type=voucher.service_type,
        used_at=timezone.now(),
        use_no=voucher.usages.count() + int(time.monotonic_ns() % 1_000_000_000) + 1,
    )


class RedeemRaceTests(RaceTestCase):
    def race(self, uses):
        """One round: (successes, used-up answers, other answers, usages, uses left)."""
        holders = [make_user() for _ in range(4)]
        voucher = make_voucher(owner=holders[0], voucher_type=make_type(max_uses=uses))
        clients = [self.signed_in(holder) for holder in holders]
        answers = self.together(
            *(
                lambda client=clients[number % 4]: client.post(URL, {"code": voucher.code})
                for number in range(AT_ONCE)
            )
        )
        statuses = [answer.status_code for answer in answers]
        voucher.refresh_from_db()
        used_up = [
            answer for answer in answers if answer.status_code == 409 and b"voucher_used_up" in answer.content
        ]
        others = len(answers) - statuses.count(200) - len(used_up)
        return statuses.count(200), len(used_up), others, voucher.usages.count(), voucher.uses_remaining

    def right(self, uses):
        return uses, AT_ONCE - uses, 0, uses, 0

    def test_exactly_as_many_succeed_as_there_are_uses(self):
        for uses in (1, 3, 10):
            for round_no in range(self.rounds):
                with self.subTest(uses=uses, round=round_no):
                    self.assertEqual(self.race(uses), self.right(uses))

    def test_the_same_race_catches_a_redeem_that_reads_first(self):
        with patch.object(services, "redeem_voucher", redeem_by_reading_first):
            outcomes = [self.race(uses=1) for _ in range(3)]
        self.assertTrue(any(outcome != self.right(1) for outcome in outcomes), outcomes)
