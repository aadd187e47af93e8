"""Uses are given back at the same instant, and redeemed again: each comes back once, and none is lost."""

import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from unittest.mock import patch

from django.db import IntegrityError, connection
from django.db.models import F
from django.utils import timezone

from apps.core.errors import DomainError
from apps.vouchers import services
from apps.vouchers.errors import AlreadyReversed
from apps.vouchers.models import UsageReversal, Voucher, VoucherEvent, VoucherQuerySet, VoucherUsage
from apps.vouchers.states import VoucherEventKind
from tests.support.books import broken_rules

from .factories import make_usage
from .races import CHANGING, VoucherRaceTestCase


def books(voucher):
    """The counters of a voucher, the numbers of its uses, and of those given back by both records of it."""
    voucher.refresh_from_db()
    events = VoucherEvent.objects.filter(voucher=voucher, kind=VoucherEventKind.REVERSED)
    return {
        "left": voucher.uses_remaining,
        "given back": voucher.uses_reversed,
        "uses": sorted(voucher.usages.values_list("use_no", flat=True)),
        "reversals": sorted(voucher.usages.filter(reversal__isnull=False).values_list("use_no", flat=True)),
        "events": sorted(events.values_list("details__use_no", flat=True)),
    }


def record(usage, actor, reason):
    """What a broken twin leaves behind besides the counters; the schema refuses a second reversal."""
    now = timezone.now()
    VoucherEvent.objects.create(
        voucher=usage.voucher,
        kind=VoucherEventKind.REVERSED,
        actor=actor,
        reason=reason,
        details={"use_no": usage.use_no},
    )
    with suppress(IntegrityError):
        UsageReversal.objects.create(usage=usage, reversed_at=now, actor=actor, reason=reason)


def reverse_by_looking_first(*, usage_id, actor, reason):
    """A broken twin: looks for an earlier reversal before it holds the voucher."""
    usage = VoucherUsage.objects.get(pk=usage_id)
    if UsageReversal.objects.filter(usage=usage).exists():
        raise AlreadyReversed
    time.sleep(0.1)
    Voucher.objects.filter(pk=usage.voucher_id, uses_remaining__lt=F("total_uses")).update(
        uses_remaining=F("uses_remaining") + 1, uses_reversed=F("uses_reversed") + 1
    )
    record(usage, actor, reason)


def reverse_by_writing_back(*, usage_id, actor, reason):
    """A broken twin: writes back counters that it read, and counted up itself."""
    usage = VoucherUsage.objects.select_related("voucher").get(pk=usage_id)
    usage.voucher.uses_remaining += 1
    usage.voucher.uses_reversed += 1
    time.sleep(0.1)
    usage.voucher.save(update_fields=("uses_remaining", "uses_reversed"))
    record(usage, actor, reason)


class ReversalRaceTestCase(VoucherRaceTestCase):
    def used(self, voucher):
        """All uses of the voucher, made now."""
        redeem = partial(make_usage, code=voucher.code, user=self.people[0])
        return [redeem() for _ in range(voucher.total_uses)]

    def reverse(self, usage):
        try:
            services.reverse_usage(usage_id=usage.pk, actor=self.staff, reason="The wrong voucher")
        except DomainError as refusal:
            return refusal.code
        return "given back"


class ReversingTogether(ReversalRaceTestCase):
    def race(self, voucher, *, same):
        """One round: six give back the first use of a voucher, or each another one; what they are told."""
        usages = self.used(voucher)
        answers = self.together(
            *(partial(self.reverse, usage) for usage in (usages[:1] * 6 if same else usages))
        )
        return Counter(answers), books(voucher)

    def right(self, uses, *, same):
        back = [1] if same else list(range(1, uses + 1))
        answers = Counter({"given back": len(back), "already_reversed": 6 - len(back)})
        numbers = {"uses": list(range(1, uses + 1)), "reversals": back, "events": back}
        return +answers, {"left": len(back), "given back": len(back), **numbers}

    def test_one_use_is_given_back_once(self):
        for uses in (1, 3):
            for voucher in self.vouchers(max_uses=uses):
                self.assertEqual(self.race(voucher, same=True), self.right(uses, same=True))
        self.assertEqual(broken_rules(), {})

    def test_several_uses_of_a_voucher_are_all_given_back(self):
        for voucher in self.vouchers(max_uses=6):
            self.assertEqual(self.race(voucher, same=False), self.right(6, same=False))
        self.assertEqual(broken_rules(), {})

    def test_the_same_race_catches_who_looks_for_a_reversal_first(self):
        with patch.object(services, "reverse_usage", reverse_by_looking_first):
            rounds = (self.race(voucher, same=True) for voucher in self.vouchers(max_uses=3))
            self.assertTrue(any(outcome != self.right(3, same=True) for outcome in rounds))
        self.assertIn("reversals_counted", broken_rules())

    def test_the_same_race_catches_counters_that_are_written_back(self):
        with patch.object(services, "reverse_usage", reverse_by_writing_back):
            rounds = (self.race(voucher, same=False) for voucher in self.vouchers(max_uses=6))
            self.assertTrue(any(outcome != self.right(6, same=False) for outcome in rounds))
        self.assertIn("reversals_counted", broken_rules())


class ReverseOrRedeemTests(ReversalRaceTestCase):
    USES, BACK = 3, 2

    def race(self, voucher, delay=0.0):
        """One round: of a used-up voucher two uses are given back, while eight want one, two times each.

        What they are told that they should not be, how many get one then, and how many in the end: those who are
        left over have another try, one after the other.
        """
        usages = self.used(voucher)

        def reverse(usage):
            time.sleep(delay)
            return self.reverse(usage)

        def redeem(api):
            return [self.redeem(api, voucher.code) for _ in range(2)]

        answers = self.together(
            *(partial(redeem, api) for api in self.apis * 2),
            *(partial(reverse, usage) for usage in usages[: self.BACK]),
        )
        meanwhile = Counter(word for words in answers[: -self.BACK] for word in words)
        then = Counter(self.redeem(api, voucher.code) for api in self.apis * 2)
        return {
            "strange": meanwhile.keys() - {"redeemed", "voucher_used_up"} - CHANGING
            | then.keys() - {"redeemed", "voucher_used_up"},
            "too many": max(0, meanwhile["redeemed"] - self.BACK),
            "redeemed": meanwhile["redeemed"] + then["redeemed"],
            "reversed": answers[-self.BACK :],
            "books": books(voucher),
        }

    RIGHT = {
        "strange": set(),
        "too many": 0,
        "redeemed": BACK,
        "reversed": ["given back"] * BACK,
        "books": {
            "left": 0,
            "given back": BACK,
            "uses": list(range(1, USES + BACK + 1)),
            "reversals": list(range(1, BACK + 1)),
            "events": list(range(1, BACK + 1)),
        },
    }

    def test_exactly_as_many_redeem_as_are_given_back(self):
        for round_no, voucher in enumerate(self.vouchers(max_uses=self.USES)):
            self.assertEqual(self.race(voucher, delay=round_no * 0.01), self.RIGHT, f"round {round_no}")
        self.assertEqual(broken_rules(), {})

    def test_the_same_race_catches_a_reversal_that_writes_the_counters_back(self):
        self.expected.add(500)  # the schema refuses the number of a use that there is already
        with patch.object(services, "reverse_usage", reverse_by_writing_back):
            rounds = (self.race(voucher) for voucher in self.vouchers(max_uses=self.USES))
            self.assertTrue(any(outcome != self.RIGHT for outcome in rounds))

    def test_who_is_refused_just_before_a_use_is_given_back_is_told_to_come_back(self):
        """On PostgreSQL the reason of a refusal is read a moment later: by then there may be none."""
        (voucher,) = self.vouchers(1)
        (usage,) = self.used(voucher)
        refused, given_back = threading.Event(), threading.Event()
        read = VoucherQuerySet.read_with_clock

        def late(vouchers, *, code):
            refused.set()
            given_back.wait(
                1
            )  # on SQLite in vain: nothing can be given back until this transaction has ended
            return read(vouchers, code=code)

        def reverse():
            refused.wait(self.patience)
            answer = self.reverse(usage)
            given_back.set()
            return answer

        with patch.object(VoucherQuerySet, "read_with_clock", late):
            answers = self.together(lambda: self.redeem(self.apis[0], voucher.code), reverse)
        refusal = "changing" if connection.vendor == "postgresql" else "voucher_used_up"
        self.assertEqual(answers, [refusal, "given back"])
        self.assertEqual(self.redeem(self.apis[0], voucher.code), "redeemed")
        self.assertEqual(broken_rules(), {})
